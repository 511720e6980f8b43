// @ts-check
// The sources that this browser can publish.

import { h } from '../lib/dom.js';
import { FieldError } from '../lib/form.js';
import { t } from '../lib/i18n.js';

/**
 * A source. `level` gives its loudness from 0 to 1, `replace` shows another picture, `mute` toggles the sound and gives
 * whether it is muted.
 *
 * @typedef {object} Source
 * @property {MediaStream} stream
 * @property {HTMLElement | null} preview
 * @property {() => void} close
 * @property {() => void} [begin] called when a new session begins
 * @property {() => number} [level]
 * @property {(file: File) => Promise<void>} [replace]
 * @property {() => boolean} [mute]
 */

/** @typedef {{ file?: File, video?: string, audio?: string, size?: string, sound?: boolean }} SourceOptions */

/**
 * How often a still image is drawn again: encoders need input, and new readers need a keyframe. At the beginning a browser drops
 * the first frames of a large picture, because its estimate of the bit rate is low, and MediaMTX waits two seconds for the first
 * (webrtcTrackGatherTimeout): so frames come quickly until then.
 */
const REDRAW_MS = 250;
const BEGIN_MS = { interval: 66, duration: 6000 };

/** How often a hidden page draws the frame of a video. */
const HIDDEN_MS = 1000;

/** The interval of frames for browsers without requestVideoFrameCallback. */
const FRAME_MS = 40;

/** The longer and the shorter side of the largest video of a still: what all encoders and decoders of H.264 have. */
const LARGEST_STILL = [1920, 1080];

/** The same for a video file, each frame of which has to be encoded in time. */
const LARGEST_VIDEO = [1280, 720];

/** Cameras and microphones as pairs of id and name. Names are known after the user has permitted one device. */
export async function devices() {
  const all = (await navigator.mediaDevices?.enumerateDevices?.().catch(() => [])) ?? [];
  /** @type {(kind: MediaDeviceKind) => [string, string][]} */
  const ofKind = (kind) => {
    const found = all.filter((device) => device.kind === kind && device.deviceId && device.deviceId !== 'default');
    return found.map(({ deviceId, label }, i) => [deviceId, label || String(i + 1)]);
  };
  return { video: ofKind('videoinput'), audio: ofKind('audioinput') };
}

/** @param {MediaStream} stream */
const stopTracks = (stream) => stream.getTracks().forEach((track) => track.stop());

/**
 * Measures the loudness of a stream.
 *
 * @param {MediaStream} stream
 */
function levelMeter(stream) {
  const context = new AudioContext();
  const analyser = context.createAnalyser();
  analyser.fftSize = 512;
  context.createMediaStreamSource(stream).connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  const level = () => {
    analyser.getFloatTimeDomainData(samples);
    const loudness = Math.sqrt(samples.reduce((sum, value) => sum + value * value, 0) / samples.length);
    // The upper 60 dB, because loudness is perceived logarithmically.
    return loudness > 0 ? Math.min(1, Math.max(0, 1 + Math.log10(loudness) / 3)) : 0;
  };
  return { level, close: () => context.close() };
}

/**
 * A source of a stream, with a meter and a switch if it has sound.
 *
 * @param {MediaStream} stream
 * @returns {Source}
 */
function captured(stream) {
  const sound = stream.getAudioTracks();
  const video = { muted: true, autoplay: true, playsInline: true, srcObject: stream, 'aria-hidden': 'true' };
  const preview = stream.getVideoTracks().length ? h('video', video) : null;
  if (!sound.length) return { stream, preview, close: () => stopTracks(stream) };
  const meter = levelMeter(stream);
  const close = () => {
    meter.close();
    stopTracks(stream);
  };
  const mute = () => {
    const isMuted = sound[0].enabled;
    for (const track of sound) track.enabled = !isMuted;
    return isMuted;
  };
  return { stream, preview, close, level: meter.level, mute };
}

/**
 * The file of a source that needs one.
 *
 * @param {SourceOptions} options
 */
function fileOf({ file }) {
  if (!file) throw new FieldError('file', t('console.choose_file'));
  return file;
}

/** @param {File} file */
async function decoded(file) {
  try {
    return await createImageBitmap(file);
  } catch {
    throw new FieldError('file', t('console.not_a_picture'));
  }
}

/**
 * A canvas for pictures of this size, made smaller if they are too large. H.264 needs even sides.
 *
 * @param {{ width: number, height: number, largest: number[], label: string }} options
 */
function canvasFor({ width, height, largest: [longer, shorter], label }) {
  const scale = Math.min(1, longer / Math.max(width, height), shorter / Math.min(width, height));
  const even = (/** @type {number} */ side) => Math.max(2, Math.round((side * scale) / 2) * 2);
  const canvas = h('canvas', { width: even(width), height: even(height), role: 'img', 'aria-label': label });
  const context = canvas.getContext('2d', { alpha: false });
  if (!context) throw new Error(t('console.not_a_picture'));
  return { canvas, context };
}

/**
 * @param {SourceOptions} options
 * @returns {Promise<Source>}
 */
async function still(options) {
  let picture = await decoded(fileOf(options));
  const size = { width: picture.width, height: picture.height };
  const { canvas, context } = canvasFor({ ...size, largest: LARGEST_STILL, label: t('console.picture') });
  context.imageSmoothingQuality = 'high';
  const draw = () => {
    const fit = Math.min(canvas.width / picture.width, canvas.height / picture.height);
    const [width, height] = [picture.width * fit, picture.height * fit];
    context.fillStyle = '#000';
    context.fillRect(0, 0, canvas.width, canvas.height);
    const place = /** @type {const} */ ([(canvas.width - width) / 2, (canvas.height - height) / 2, width, height]);
    // Transparent areas are white, as those of uploaded pictures.
    context.fillStyle = '#fff';
    context.fillRect(...place);
    context.drawImage(picture, ...place);
  };
  draw();
  const stream = canvas.captureStream();
  // Sharp in place of smooth: without this, the browser makes a large picture small.
  for (const track of stream.getVideoTracks()) track.contentHint = 'detail';
  let timer = 0;
  let quickUntil = 0;
  const next = () => {
    draw();
    timer = setTimeout(next, performance.now() < quickUntil ? BEGIN_MS.interval : REDRAW_MS);
  };
  const begin = () => {
    quickUntil = performance.now() + BEGIN_MS.duration;
    clearTimeout(timer);
    next();
  };
  begin();
  return {
    stream,
    preview: canvas,
    begin,
    // The size of the video stays, and another picture is fitted into it: readers see no interruption.
    async replace(file) {
      const previous = picture;
      picture = await decoded(file);
      previous.close();
      begin();
    },
    close() {
      clearTimeout(timer);
      stopTracks(stream);
      picture.close();
    },
  };
}

/** @param {SourceOptions} options */
async function camera({ video, audio, size = '1280x720' }) {
  const [width, height] = size.split('x').map(Number);
  const device = (/** @type {string | undefined} */ id) => (id ? { deviceId: { exact: id } } : {});
  const stream = await navigator.mediaDevices.getUserMedia({
    video: { ...device(video), width: { ideal: width }, height: { ideal: height } },
    audio: audio === 'none' ? false : device(audio),
  });
  return captured(stream);
}

/** @param {SourceOptions} options */
async function screen({ sound }) {
  return captured(await navigator.mediaDevices.getDisplayMedia({ video: { frameRate: { max: 30 } }, audio: sound }));
}

/**
 * An <audio> or <video> that repeats a file.
 *
 * @template {'audio' | 'video'} T
 * @param {T} tag
 * @param {File} file
 */
async function playing(tag, file) {
  const url = URL.createObjectURL(file);
  const element = /** @type {HTMLElementTagNameMap[T]} */ (document.createElement(tag));
  Object.assign(element, { src: url, loop: true, playsInline: true });
  try {
    await element.play();
  } catch (error) {
    URL.revokeObjectURL(url);
    const isForbidden = error instanceof DOMException && error.name === 'NotAllowedError';
    throw isForbidden ? error : new FieldError('file', t('console.not_playable'));
  }
  const close = () => {
    element.pause();
    element.removeAttribute('src');
    URL.revokeObjectURL(url);
  };
  return { element, close };
}

/**
 * The sound of a playing element as a track. The sound is sent, and this browser does not play it.
 *
 * @param {HTMLMediaElement} element
 */
function soundOf(element) {
  const context = new AudioContext();
  const sink = context.createMediaStreamDestination();
  context.createMediaElementSource(element).connect(sink);
  return { track: sink.stream.getAudioTracks()[0], close: () => context.close() };
}

/**
 * @param {SourceOptions} options
 * @returns {Promise<Source>}
 */
async function audio(options) {
  const player = await playing('audio', fileOf(options));
  const sound = soundOf(player.element);
  const source = captured(new MediaStream([sound.track]));
  const close = () => {
    source.close();
    sound.close();
    player.close();
  };
  return { ...source, close };
}

/**
 * @param {SourceOptions} options
 * @returns {Promise<Source>}
 */
async function video(options) {
  const player = await playing('video', fileOf(options));
  const { element } = player;
  const sound = soundOf(element);
  // The element's own captureStream() ends, or stops, when the file begins again; a canvas does not.
  const size = { width: element.videoWidth, height: element.videoHeight };
  const { canvas, context } = canvasFor({ ...size, largest: LARGEST_VIDEO, label: t('console.video_file') });
  const draw = () => context.drawImage(element, 0, 0, canvas.width, canvas.height);
  const hasFrameCallback = 'requestVideoFrameCallback' in element;
  let isClosed = false;
  const next = () => {
    if (isClosed) return;
    draw();
    if (hasFrameCallback) element.requestVideoFrameCallback(next);
  };
  next();
  // A hidden page gets no frame callbacks; one frame per second is better than none.
  const timer = setInterval(draw, hasFrameCallback ? HIDDEN_MS : FRAME_MS);
  const source = captured(new MediaStream([...canvas.captureStream().getVideoTracks(), sound.track]));
  const close = () => {
    isClosed = true;
    clearInterval(timer);
    source.close();
    sound.close();
    player.close();
  };
  return { ...source, preview: canvas, close };
}

/** @typedef {'still' | 'camera' | 'screen' | 'audio' | 'video'} SourceKind */

/** @type {Record<SourceKind, (options: SourceOptions) => Promise<Source>>} */
export const SOURCES = { still, camera, screen, audio, video };
