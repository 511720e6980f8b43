// Mainsail's "mjpegstreamer": a worker that reads by `fetch` and draws onto a canvas.
// https://github.com/mainsail-crew/mainsail/blob/develop/src/components/webcams/streamers/mjpegstreamer.worker.ts
export function show(camera, { place, seen, fault }) {
  const canvas = document.createElement("canvas");
  place(canvas);
  const offscreen = canvas.transferControlToOffscreen();
  const worker = new Worker("mainsail_worker.js");
  worker.onmessage = ({ data }) => (data.fault ? fault(data.fault) : seen());
  worker.onerror = (event) => fault(event.message);
  worker.postMessage({ canvas: offscreen, camera }, [offscreen]);
}
