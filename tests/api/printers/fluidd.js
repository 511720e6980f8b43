// Fluidd's "mjpegstreamer": a worker that reads by `fetch`, and an image for each part.
// https://github.com/fluidd-core/fluidd/blob/develop/src/components/widgets/camera/services/MjpegstreamerCamera.vue
export function show(camera, { place, seen, fault }) {
  const image = document.createElement("img");
  place(image);
  let shown = null;
  const url = new URL(camera, location.origin);
  url.searchParams.set("cacheBust", String(Date.now()));
  const worker = new Worker("fluidd_worker.js");
  worker.onerror = (event) => fault(event.message);
  worker.onmessage = ({ data }) => {
    if (data.fault) return fault(data.fault);
    if (shown) URL.revokeObjectURL(shown);
    image.src = shown = URL.createObjectURL(new Blob([data.picture], { type: "image/jpeg" }));
    seen();
  };
  worker.postMessage(url.href);
}
