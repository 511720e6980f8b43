// What can be published: each gives a source { stream, preview, close(), level?(), replace?(file), mute?() }.

import { h } from '../lib/dom.js';
import { t } from '../lib/i18n.js';

/** A still is drawn again so often: encoders need something to encode, and readers who join a keyframe. */
const REDRAW_MS = 1000;

/** Sides of a still's canvas: H.264 wants even ones, and level 3.1, which all browsers have, ends at 1280 by 720. */
const LARGEST = { width: 1280, height: 720 };

/** Cameras and microphones, as [id, name] pairs. Names are known only after somebody has permitted one. */
export async function devices() {
  const all = (await navigator.mediaDevices?.enumerateDevices?.().catch(() => [])) ?? [];
  const of = (kind) =>
    all
      .filter((device) => device.kind === kind && device.deviceId && device.deviceId !== 'default')
      .map(({ deviceId, label }, i) => [deviceId, label || `${i + 1}`]);
  return { video: of('videoinput'), audio: of('audioinput') };
}

const preview = (stream) =>
  h('video', { muted: true, autoplay: true, playsInline: true, srcObject: stream, 'aria-hidden': 'true' });
const end = (stream) => stream.getTracks().forEach((track) => track.stop());

/** Measures how loud a stream is, from 0 to 1. */
function meter(stream) {
  if (!stream.getAudioTracks().length) return {};
  const context = new AudioContext();
  const analyser = context.createAnalyser();
  analyser.fftSize = 512;
  context.createMediaStreamSource(stream).connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  return {
    level() {
      analyser.getFloatTimeDomainData(samples);
      const loudness = Math.sqrt(samples.reduce((sum, value) => sum + value * value, 0) / samples.length);
      // Decibels, of which the upper 60 are shown: that is how loud it sounds.
      return loudness > 0 ? Math.min(1, Math.max(0, 1 + Math.log10(loudness) / 3)) : 0;
    },
    endMeter: () => context.close(),
  };
}

function mutable(stream) {
  const tracks = stream.getAudioTracks();
  if (!tracks.length) return {};
  return {
    canMute: true,
    mute() {
      const muted = tracks[0].enabled;
      for (const track of tracks) track.enabled = !muted;
      return muted;
    },
  };
}

function captured(stream) {
  const { level, endMeter } = meter(stream);
  return {
    stream,
    preview: stream.getVideoTracks().length ? preview(stream) : null,
    level,
    ...mutable(stream),
    close: () => {
      endMeter?.();
      end(stream);
    },
  };
}

const needs = (file) => {
  if (!file) throw Object.assign(new Error(t('console.choose_file')), { field: 'file' });
};

async function still({ file }) {
  needs(file);
  const decode = async (from) => {
    try {
      return await createImageBitmap(from);
    } catch {
      throw Object.assign(new Error(t('console.not_a_picture')), { field: 'file' });
    }
  };
  let picture = await decode(file);
  const scale = Math.min(1, LARGEST.width / picture.width, LARGEST.height / picture.height);
  const even = (side) => Math.max(2, Math.round((side * scale) / 2) * 2);
  const canvas = h('canvas', {
    width: even(picture.width),
    height: even(picture.height),
    role: 'img',
    'aria-label': t('console.picture'),
  });
  const context = canvas.getContext('2d', { alpha: false });
  const draw = () => {
    const fit = Math.min(canvas.width / picture.width, canvas.height / picture.height);
    const [width, height] = [picture.width * fit, picture.height * fit];
    context.fillStyle = '#000';
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.drawImage(picture, (canvas.width - width) / 2, (canvas.height - height) / 2, width, height);
  };
  draw();
  const stream = canvas.captureStream();
  const timer = setInterval(draw, REDRAW_MS);
  return {
    stream,
    preview: canvas,
    // The size of the video stays; another picture is fitted into it, so that readers need not begin anew.
    async replace(next) {
      const old = picture;
      picture = await decode(next);
      old.close();
      draw();
    },
    close() {
      clearInterval(timer);
      end(stream);
      picture.close();
    },
  };
}

async function camera({ video, audio, size }) {
  const [width, height] = (size ?? '1280x720').split('x').map(Number);
  const exactly = (id) => (id ? { deviceId: { exact: id } } : {});
  const stream = await navigator.mediaDevices.getUserMedia({
    video: { ...exactly(video), width: { ideal: width }, height: { ideal: height } },
    audio: audio === 'none' ? false : { ...exactly(audio) },
  });
  return captured(stream);
}

async function screen({ sound }) {
  return captured(await navigator.mediaDevices.getDisplayMedia({ video: { frameRate: { max: 30 } }, audio: sound }));
}

/** An <audio> or <video> with the file, playing for ever. */
async function playing(tag, file) {
  const url = URL.createObjectURL(file);
  const element = h(tag, { src: url, loop: true, playsInline: true });
  try {
    await element.play();
  } catch (error) {
    URL.revokeObjectURL(url);
    throw error.name === 'NotAllowedError'
      ? error
      : Object.assign(new Error(t('console.not_playable')), { field: 'file' });
  }
  return {
    element,
    close: () => {
      element.pause();
      element.removeAttribute('src');
      URL.revokeObjectURL(url);
    },
  };
}

/** The sound of a playing element as a track; it is sent and not heard here. */
function soundOf(element) {
  const context = new AudioContext();
  const sink = context.createMediaStreamDestination();
  context.createMediaElementSource(element).connect(sink);
  return { track: sink.stream.getAudioTracks()[0], close: () => context.close() };
}

async function audio({ file }) {
  needs(file);
  const player = await playing('audio', file);
  const sound = soundOf(player.element);
  const source = captured(new MediaStream([sound.track]));
  return {
    ...source,
    close: () => {
      source.close();
      sound.close();
      player.close();
    },
  };
}

async function video({ file }) {
  needs(file);
  const player = await playing('video', file);
  const { element } = player;
  const sound = soundOf(element);
  // A canvas and not the element's own captureStream(): that ends or stands still when the file begins again.
  const canvas = h('canvas', { role: 'img', 'aria-label': t('console.video_file') });
  const scale = Math.min(1, LARGEST.width / element.videoWidth, LARGEST.height / element.videoHeight);
  const even = (side) => Math.max(2, Math.round((side * scale) / 2) * 2);
  [canvas.width, canvas.height] = [even(element.videoWidth), even(element.videoHeight)];
  const context = canvas.getContext('2d', { alpha: false });
  const draw = () => context.drawImage(element, 0, 0, canvas.width, canvas.height);
  let ended = false;
  const next = () => {
    if (ended) return;
    draw();
    element.requestVideoFrameCallback?.(next);
  };
  next();
  // In the background no frames are told, and a picture a second is better than none.
  const timer = setInterval(draw, element.requestVideoFrameCallback ? REDRAW_MS : 40);
  const drawn = canvas.captureStream();
  const source = captured(new MediaStream([...drawn.getVideoTracks(), sound.track]));
  return {
    ...source,
    preview: canvas,
    close() {
      ended = true;
      clearInterval(timer);
      source.close();
      sound.close();
      player.close();
    },
  };
}

/** By kind; `takesDevices` says whether cameras and microphones are chosen from. */
export const SOURCES = {
  still: { open: still },
  camera: { open: camera, takesDevices: true },
  screen: { open: screen },
  audio: { open: audio },
  video: { open: video },
};
