// "mjpegstreamer-adaptive" of both: snapshots one after the other, with a time as a parameter. Fluidd can ask with CORS.
// https://github.com/mainsail-crew/mainsail/blob/develop/src/components/webcams/streamers/MjpegstreamerAdaptive.vue
// https://github.com/fluidd-core/fluidd/blob/develop/src/components/widgets/camera/services/MjpegstreamerAdaptiveCamera.vue
export function show(camera, { place, seen, fault }) {
  const image = document.createElement("img");
  image.crossOrigin = "anonymous";
  place(image);
  const url = new URL(camera);
  const refresh = () => {
    url.searchParams.set("cacheBust", String(Date.now()));
    image.src = url.href;
  };
  image.onload = () => {
    seen();
    setTimeout(refresh, 100);
  };
  image.onerror = () => fault("the snapshot is not shown");
  refresh();
}
