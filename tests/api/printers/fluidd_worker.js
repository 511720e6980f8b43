// https://github.com/fluidd-core/fluidd/blob/develop/src/workers/mjpegStream.ts
// Its peculiarities: the boundary is the text up to the next semicolon, with quotes if there are any; the bytes are read into
// buffers of its own (`byob`) of 8 KiB; lengths are ignored; a picture is complete when the next boundary comes.
const HEAD_END = [13, 10, 13, 10];

const find = (bytes, pattern, from) => {
  for (let at = bytes.indexOf(pattern[0], from); at >= 0; at = bytes.indexOf(pattern[0], at + 1)) {
    if (at + pattern.length > bytes.length) return -1;
    if (pattern.every((byte, i) => bytes[at + i] === byte)) return at;
  }
  return -1;
};

onmessage = async ({ data: url }) => {
  try {
    const response = await fetch(url, { mode: "cors" });
    const type = response.headers.get("content-type") ?? "";
    const boundary = type.match(/boundary=([^;]+)/)?.[1];
    if (!response.ok || !type.includes("multipart") || !boundary) throw new Error(`status ${response.status}, ${type}`);
    const delimiter = [...new TextEncoder().encode(`--${boundary}`)];
    const reader = response.body.getReader({ mode: "byob" });
    let bytes = new Uint8Array(0);
    for (;;) {
      const { done, value } = await reader.read(new Uint8Array(8192));
      if (done) throw new Error("the stream has ended");
      const longer = new Uint8Array(bytes.length + value.length);
      longer.set(bytes);
      longer.set(value, bytes.length);
      bytes = longer;
      for (;;) {
        const begin = find(bytes, delimiter, 0);
        const end = begin < 0 ? -1 : find(bytes, delimiter, begin + delimiter.length);
        if (end < 0) break;
        const head = find(bytes, HEAD_END, begin + delimiter.length);
        if (head >= 0 && head < end) postMessage({ picture: bytes.slice(head + 4, end) });
        bytes = bytes.slice(end);
      }
    }
  } catch (e) {
    postMessage({ fault: String(e) });
  }
};
