/** The page: opens the bundle, proves itself, then segments what it is given. Everything it knows is in the bundle. */

import { Bundle } from './lib/bundle.mjs';
import { startCamera } from './lib/camera.mjs';
import { DataError, DemoError } from './lib/errors.mjs';
import { measurement, stagesOf } from './lib/latency.mjs';
import { hasWebGpu, loadModel, threadChoices } from './lib/litert.mjs';
import { isScan, readScan } from './lib/nifti.mjs';
import { keepOffline } from './lib/offline.mjs';
import { readFrame, readPicture } from './lib/picture.mjs';
import { maskOf, softmax, summary, toImage } from './lib/postprocess.mjs';
import { normalise, place, toGrid } from './lib/preprocess.mjs';
import { checkPreprocessing, checkRuntime } from './lib/selftest.mjs';
import * as view from './view.mjs';

const { $ } = view;
const WARM_UP = 5;

const state = {
  bundle: null,
  golden: [],
  runtime: '', // name and version
  model: null, // null: refused, or not loaded yet
  source: null, // {name, image, spacing, note}: what is shown
  scan: null,
  result: null, // {mask, source}: what is drawn
  runs: [], // of the last measurement
  stopCamera: null,
};

/** One thing at a time: the model is never run, or swapped, twice at once. */
let turn = Promise.resolve();
function inTurn(task) {
  const mine = turn.then(task);
  turn = mine.catch(() => {});
  return mine;
}

/** Run a user's action; whatever goes wrong becomes a message. */
async function guarded(action) {
  view.message('');
  try {
    await action();
  } catch (error) {
    if (!(error instanceof DemoError)) console.warn(error);
    view.message(error instanceof DemoError ? error.message : `this did not work (${error?.message ?? error})`);
  }
}

async function start() {
  const { bundle } = Object.assign(state, { bundle: await Bundle.open(new URL('bundle/', import.meta.url).href) });
  state.runtime = `LiteRT.js ${(await (await fetch('vendor/files.json')).json()).litert}`;
  view.about(bundle);
  view.choices(bundle, threadChoices(), await hasWebGpu());
  view.status('checking the golden vectors');
  state.golden = await bundle.golden();
  checkPreprocessing(state.golden, bundle.contract);
  view.preprocessing(state.golden.length);
  view.examples(state.golden, bundle.contract, (one) => guarded(() => showExample(one)));
  await useModel();
}

/** Load the chosen model and let it prove itself; on any failure nothing can be run until another one passes. */
async function useModel() {
  const { bundle, golden } = state;
  const artefact = bundle.artefacts.find((one) => one.id === $('artefact').value);
  const [accelerator, threads] = $('processor').value.split(' ');
  view.locked(true);
  view.banner('');
  view.status(`loading ${artefact.id}`);
  try {
    await inTurn(async () => {
      state.model?.close();
      state.model = null;
      const bytes = await bundle.read(artefact.path);
      const model = await loadModel(bytes, artefact, bundle.contract, { accelerator, threads: Number(threads) || 1 });
      const found = await checkRuntime(model, golden, bundle.contract, bundle.measured(artefact).golden);
      state.model = model;
      view.runtime(state, found);
    });
    view.status('self-test passed: ready', 'passed');
    view.locked(false);
    await (state.source ? segment() : showExample(golden[0]));
  } catch (error) {
    refuse(error);
  }
}

/** The red banner. Nothing is run behind it. */
function refuse(error) {
  state.stopCamera?.();
  state.model = null;
  if (!(error instanceof DemoError)) console.warn(error);
  view.status('refused', 'refused');
  view.onlyChoices();
  view.banner(`Nothing is run: ${error?.message ?? error}`);
}

/** Segment what is shown; `draw` is false while measuring. */
function segment({ draw = true } = {}) {
  return inTurn(async () => {
    const { source, model } = state;
    const { contract } = state.bundle;
    if (!model) throw new DemoError('no model has passed its self-test', { next: 'choose another one' });
    const classes = contract.labels.length;
    const { image } = source;
    const begin = performance.now();
    const input = normalise(toGrid(image, contract), contract);
    const before = performance.now();
    const logits = await model.run(input);
    const after = performance.now();
    const gridMask = maskOf(logits, classes);
    const mask = toImage(gridMask, contract, image.height, image.width);
    const stages = stagesOf(begin, before, after, performance.now());
    if (draw) {
      state.result = { mask, source };
      view.picture(state);
      view.classes(contract, summary(mask, gridMask, softmax(logits, classes), classes), source);
      view.lastRun(stages);
    }
    return stages;
  });
}

async function show(source) {
  state.source = source;
  await segment();
  view.saveable(true);
}

function leaveScanAndCamera() {
  state.stopCamera?.();
  state.scan = null;
  view.slices(null);
}

function showExample({ name, image }) {
  leaveScanAndCamera();
  view.pressExample(name);
  const { contract } = state.bundle;
  const spot = place(contract, image.height, image.width);
  const spacing = contract.spacing && [
    (contract.spacing[0] * spot.height) / image.height,
    (contract.spacing[1] * spot.width) / image.width,
  ];
  const note = spacing ? "an example of the bundle; mm by the training's median spacing" : 'an example of the bundle';
  return show({ name, image, spacing, note });
}

async function showFile(file) {
  const { contract } = state.bundle;
  if (!file) return;
  if (isScan(file.name)) {
    view.status(`reading ${file.name}`);
    const scan = await readScan(file, contract).finally(() => view.status('self-test passed: ready', 'passed'));
    leaveScanAndCamera();
    view.pressExample(null);
    state.scan = scan;
    view.slices(scan);
    await showSlice();
    return;
  }
  const image = await readPicture(file, contract);
  leaveScanAndCamera();
  view.pressExample(null);
  await show({ name: file.name, image, spacing: null, note: pictureNote(contract) });
}

function pictureNote({ pixel, low, high }) {
  return pixel === 'uint8' ? '' : `taken as a screenshot of the window ${low} to ${high}`;
}

async function showSlice() {
  const { scan, bundle } = state;
  const index = Number($('slice').value);
  view.sliceValue(index, scan.slices);
  const image = scan.slice(index);
  await show({
    name: `${scan.name}, slice ${index + 1}`,
    image,
    spacing: scan.spacing,
    note: scanNote(scan, bundle.contract),
  });
}

/** What a scan's slices are, and a warning where its pixels are not of the size the network knows. */
function scanNote(scan, contract) {
  const shown = (sides) => `${sides[0].toFixed(2)} x ${sides[1].toFixed(2)} mm`;
  const note = `axial, ${shown(scan.spacing)}`;
  if (!contract.spacing) return note;
  const spot = place(contract, scan.height, scan.width);
  const grid = [(scan.spacing[0] * scan.height) / spot.height, (scan.spacing[1] * scan.width) / spot.width];
  const ratio = Math.max(...grid.map((side, at) => Math.max(side / contract.spacing[at], contract.spacing[at] / side)));
  if (ratio <= 1.5) return note;
  return `${note}; warning: a network pixel is ${shown(grid)} here and was ${shown(contract.spacing)} in training`;
}

/** Live: every frame is segmented as soon as the one before is drawn; pressing again holds the last one. */
async function toggleCamera() {
  if (state.stopCamera) {
    state.stopCamera();
    return;
  }
  const video = $('video');
  const stop = await startCamera(video);
  leaveScanAndCamera();
  view.pressExample(null);
  view.camera(true);
  let live = true;
  state.stopCamera = () => {
    live = false;
    stop();
    view.camera(false);
    state.stopCamera = null;
  };
  try {
    const { contract } = state.bundle;
    while (live) {
      await show({ name: 'camera', image: readFrame(video, contract), spacing: null, note: pictureNote(contract) });
      await new Promise((next) => requestAnimationFrame(next));
    }
  } finally {
    state.stopCamera?.();
  }
}

async function measure() {
  const count = Number($('runs').value);
  if (!Number.isInteger(count) || count < 1 || count > 1000)
    throw new DataError(`${$('runs').value} runs`, { allowed: '1 to 1000' });
  state.stopCamera?.();
  view.locked(true);
  try {
    for (let run = 0; run < WARM_UP; run++) await segment({ draw: false });
    const runs = [];
    while (runs.length < count) {
      runs.push(await segment({ draw: false }));
      if (runs.length % 5 === 0) {
        view.progress(runs.length / count);
        await new Promise((next) => setTimeout(next));
      }
    }
    state.runs = runs;
    view.measured(runs, measurement(state, runs));
  } finally {
    view.progress(null);
    view.locked(false);
  }
}

function listen() {
  const on = (id, event, action) => $(id).addEventListener(event, () => guarded(action));
  on('file', 'change', async () => {
    const [file] = $('file').files;
    $('file').value = '';
    await showFile(file);
  });
  on('camera', 'click', toggleCamera);
  on('slice', 'input', latestOnly(showSlice));
  on('opacity', 'input', () => view.picture(state));
  on('artefact', 'change', useModel);
  on('processor', 'change', useModel);
  on('measure', 'click', measure);
  on('export', 'click', () => view.exportJson(measurement(state, state.runs)));
  on('save-overlay', 'click', () => view.savePicture(state, 'overlay'));
  on('save-mask', 'click', () => view.savePicture(state, 'mask'));
  on('save-picture', 'click', () => view.savePicture(state, 'picture'));
  document.addEventListener('visibilitychange', () => document.hidden && state.stopCamera?.());
  view.onDrop((file) => guarded(() => (state.model ? showFile(file) : undefined)));
}

/** While one call runs, only the newest of those that came meanwhile is kept. */
function latestOnly(action) {
  let [running, again] = [false, false];
  return async () => {
    again = true;
    if (running) return;
    running = true;
    try {
      while (again) {
        again = false;
        await action();
      }
    } finally {
      running = false;
    }
  };
}

listen();
try {
  await start();
} catch (error) {
  refuse(error);
}
if (state.bundle) view.offline(await keepOffline(`${state.bundle.manifestSha256}-${state.runtime}`));
