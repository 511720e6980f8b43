#!/bin/sh
# Three ways to send pictures to mtx-sidecar from a shell.
#
#   push.sh picture FILE NAME       one picture, with curl alone
#   push.sh screen NAME             this machine's screen, five times a second
#   push.sh video FILE NAME         a video file, in a loop
#
# The last two pipe ffmpeg into `mtx-sidecar push`, which reconnects, and drops pictures on a slow network.
set -eu
URL=${SIDECAR_URL:-http://127.0.0.1:9995}

case ${1:-} in
picture)
    curl --fail-with-body --silent --show-error --upload-file "$2" "$URL/api/v1/streams/$3/frame"
    echo
    ;;
screen)
    ffmpeg -loglevel error -f x11grab -framerate 5 -i "${DISPLAY:-:0}" -q:v 5 -f mpjpeg - |
        mtx-sidecar push "$2" - --url "$URL"
    ;;
video)
    ffmpeg -loglevel error -re -stream_loop "${LOOPS:--1}" -i "$2" -an -q:v 5 -f mpjpeg - |
        mtx-sidecar push "$3" - --url "$URL"
    ;;
*)
    sed -n '2,8s/^# \{0,1\}//p' "$0"
    exit 2
    ;;
esac
