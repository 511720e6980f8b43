// Its peculiarities: a time as a parameter; the begin of a picture is found only where both of its bytes are in one chunk; all
// text before it are headers; the picture's size is the last Content-Length, without which there is no picture (an array of -1
// bytes); a picture is complete when one more byte comes, which is thrown away; while one is decoded, the next is not drawn.
onmessage = async ({ data: { canvas, camera } }) => {
  const url = new URL(camera);
  url.searchParams.append("timestamp", String(Date.now()));
  const context = canvas.getContext("2d");
  let isDecoding = false;
  const draw = async (picture) => {
    if (isDecoding) return postMessage({});
    isDecoding = true;
    try {
      const bitmap = await createImageBitmap(new Blob([picture], { type: "image/jpeg" }));
      [canvas.width, canvas.height] = [bitmap.width, bitmap.height];
      context.drawImage(bitmap, 0, 0);
      postMessage({});
    } finally {
      isDecoding = false;
    }
  };
  const lengthIn = (headers) => {
    const lines = headers.split("\n").map((line) => line.split(":"));
    const last = lines.findLast(([name]) => name.toLowerCase() === "content-length");
    return last ? Number(last[1]) : -1;
  };
  try {
    const response = await fetch(url, { mode: "cors" });
    if (!response.ok) throw new Error(`status ${response.status}`);
    const reader = response.body.getReader();
    let [headers, length, picture, filled] = ["", -1, null, 0];
    for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) {
      chunk.value.forEach((byte, i) => {
        if (byte === 0xff && chunk.value[i + 1] === 0xd8) {
          length = lengthIn(headers);
          picture = new Uint8Array(new ArrayBuffer(length));
        }
        if (length <= 0) {
          headers += String.fromCharCode(byte);
        } else if (filled < length) {
          picture[filled++] = byte;
        } else {
          draw(picture).catch((e) => postMessage({ fault: String(e) }));
          [headers, length, filled] = ["", 0, 0];
        }
      });
    }
    throw new Error("the stream has ended");
  } catch (e) {
    postMessage({ fault: String(e) });
  }
};
