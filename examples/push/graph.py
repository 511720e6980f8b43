#!/usr/bin/env python3
"""A graph as a live stream: draws it each second and sends it to mtx-sidecar.

    python3 graph.py [NAME] [URL]

Needs matplotlib. The stream is http://127.0.0.1:9995/stream/NAME.mjpeg, also in any web page:
    <img src="http://127.0.0.1:9995/stream/graph.mjpeg">
"""

import http.client
import io
import math
import os
import sys
import time
from urllib.parse import urlsplit

import matplotlib

matplotlib.use("Agg")  # needs no screen
import matplotlib.pyplot as plt  # noqa: E402

NAME = sys.argv[1] if len(sys.argv) > 1 else "graph"
URL = urlsplit(sys.argv[2] if len(sys.argv) > 2 else "http://127.0.0.1:9995")
PICTURES = int(os.environ.get("PICTURES", "0"))  # 0: endless


def draw(points):
    """Draws the last points as a PNG; the sidecar converts it to JPEG."""
    figure, axes = plt.subplots(figsize=(8, 4.5), dpi=100)
    axes.plot([at for at, _ in points], [value for _, value in points], marker=".")
    axes.set_title(f"{points[-1][1]:+.3f}  at {time.strftime('%H:%M:%S')}")
    axes.grid(True)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    plt.close(figure)
    return buffer.getvalue()


def main():
    connection = http.client.HTTPConnection(URL.netloc, timeout=10)
    points = []
    sent = 0
    while PICTURES == 0 or sent < PICTURES:
        began = time.monotonic()
        points = (points + [(sent, math.sin(sent / 5))])[-60:]
        try:
            connection.request("PUT", f"/api/v1/streams/{NAME}/frame", body=draw(points))
            response = connection.getresponse()
            body = response.read()  # needed before the next request on this connection
            if response.status != 200:
                sys.exit(f"{response.status}: {body.decode(errors='replace')}")
            sent += 1
        except OSError as error:
            print(f"the sidecar does not answer ({error}); trying again", file=sys.stderr)
            connection.close()
        if PICTURES == 0 or sent < PICTURES:
            time.sleep(max(0, 1 - (time.monotonic() - began)))


main()
