/** What the page shows: every write to the document, and nothing else. */

import { DataError } from './lib/errors.mjs';
import { quantile, STAGES } from './lib/latency.mjs';
import { tint } from './lib/picture.mjs';

const MOST_SHOWN = 2048; // canvas pixels a side
const COARSE = 512; // images below this are drawn with visible pixels
const STAGE_NAMES = { pre: 'preprocessing', model: 'model', post: 'postprocessing', end_to_end: 'end to end' };

export const $ = (id) => document.getElementById(id);

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

/** Fill a <dl>. */
function facts(list, pairs) {
  list.replaceChildren(
    ...pairs.flatMap(([name, value]) => [element('dt', {}, name), element('dd', {}, String(value))]),
  );
}

/** @param {'busy' | 'passed' | 'refused'} state of the self-test */
export function status(text, state = 'busy') {
  Object.assign($('status'), { textContent: text, className: state });
}

export function message(text) {
  Object.assign($('message'), { textContent: text, hidden: !text });
}

export function banner(text) {
  Object.assign($('banner'), { textContent: text, hidden: !text });
}

/** Whether anything that runs the model can be pressed. */
export function locked(yes) {
  for (const id of ['inputs', 'measure', 'artefact', 'processor', 'slice']) $(id).disabled = yes;
}

/** After a failed self-test another model may be tried; nothing else. */
export function onlyChoices() {
  locked(true);
  saveable(false);
  $('artefact').disabled = $('processor').disabled = false;
}

export function saveable(yes) {
  for (const id of ['save-overlay', 'save-mask', 'save-picture']) $(id).disabled = !yes;
}

/** Model's name, provenance and hashes. */
export function about({ contract, report, manifestSha256 }) {
  const { provenance } = contract;
  $('model-name').textContent = `${contract.name}, ${contract.modality}, ${contract.height} x ${contract.width}`;
  $('intended-use').textContent = contract.intendedUse;
  const plain = (value) => (typeof value === 'object' && value !== null ? JSON.stringify(value) : value);
  facts($('about'), [
    ...Object.entries({ warning: report.gate?.warning, ...provenance })
      .filter(([, value]) => value !== undefined && value !== null)
      .map(([name, value]) => [name.replaceAll('_', ' '), plain(value)]),
    ['checkpoint', `SHA-256 ${report.checkpoint?.sha256}`],
    ['measured', `mean Dice ${report.checkpoint?.mean_dice} (checkpoint, ${report.gate?.split})`],
    ['manifest', `SHA-256 ${manifestSha256}`],
  ]);
}

/** The model picker and the processor picker. */
export function choices(bundle, threads, webGpu) {
  const label = (one) => {
    const { bytes, dice } = bundle.measured(one);
    return `${one.precision} (${(bytes / 1e6).toFixed(2)} MB, Dice ${dice?.mean?.toFixed(3) ?? 'not measured'})`;
  };
  $('artefact').replaceChildren(...bundle.artefacts.map((one) => element('option', { value: one.id }, label(one))));
  $('processor').replaceChildren(
    ...threads.map((count) =>
      element('option', { value: `wasm ${count}` }, `CPU, ${count} thread${count > 1 ? 's' : ''}`),
    ),
    element('option', { value: 'webgpu', disabled: !webGpu }, webGpu ? 'WebGPU' : 'WebGPU (not available)'),
  );
  $('processor').value = `wasm ${threads.filter((count) => count <= 2).pop()}`;
  facts($('machine'), [
    [
      'isolated',
      globalThis.crossOriginIsolated ? 'yes: several threads can be used' : 'no: one thread (no COOP/COEP headers)',
    ],
    ['WebGPU', webGpu ? 'available' : 'not available'],
    ['browser', navigator.userAgent],
  ]);
}

export function preprocessing(count) {
  facts($('selftest'), [['preprocessing', `exact on ${count} golden vectors`]]);
}

/** The self-test's line about the model. */
export function runtime({ golden, model, runtime: name }, { agreement, needed, logitError }) {
  const threads = model.threads ? `, ${model.threads} thread${model.threads > 1 ? 's' : ''}` : '';
  facts($('selftest'), [
    ['preprocessing', `exact on ${golden.length} golden vectors`],
    [model.artefact.id, `agrees on ${agreement.toFixed(5)} of the golden pixels (needed ${needed.toFixed(5)})`],
    ['logit error', logitError.toExponential(1)],
    ['runtime', `${name}, ${model.accelerator}${threads}`],
  ]);
}

/** One button per golden image. */
export function examples(golden, contract, choose) {
  $('examples').replaceChildren(
    ...golden.map((one) => {
      const canvas = element('canvas');
      paint(canvas, tint(one.image, null, contract));
      const button = element('button', { type: 'button', className: 'example' }, canvas, one.name);
      button.dataset.name = one.name;
      button.setAttribute('aria-pressed', 'false');
      button.addEventListener('click', () => choose(one));
      return button;
    }),
  );
}

export function pressExample(name) {
  for (const one of $('examples').children) one.setAttribute('aria-pressed', String(one.dataset.name === name));
}

function paint(canvas, { rgba, width, height }) {
  Object.assign(canvas, { width, height });
  canvas.getContext('2d').putImageData(new ImageData(rgba, width, height), 0, 0);
}

/** The picture under its mask. */
export function picture({ result, bundle }) {
  const opacity = Number($('opacity').value) / 100;
  $('opacity-value').textContent = `${$('opacity').value} %`;
  if (!result) return;
  const { image, spacing, name, note } = result.source;
  const step = Math.ceil(Math.max(image.width, image.height) / MOST_SHOWN);
  const canvas = $('canvas');
  $('stage').hidden = false;
  paint(canvas, tint(image, result.mask, bundle.contract, opacity, step));
  const [tall, wide] = spacing ?? [1, 1];
  const ratio = (image.width * wide) / (image.height * tall);
  canvas.style.aspectRatio = String(ratio);
  canvas.style.width = `min(100%, calc(var(--tallest) * ${ratio}))`;
  canvas.classList.toggle('coarse', Math.max(image.width, image.height) < COARSE);
  const caption = [`${name}, ${image.width} x ${image.height}`, note].filter(Boolean).join('; ');
  if ($('caption').textContent !== caption) $('caption').textContent = caption;
}

/** Legend and areas. */
export function classes(contract, found, { spacing, name }) {
  $('area-head').textContent = spacing ? 'area, mm²' : '% of the picture';
  const rows = contract.labels.slice(1).map((label) => {
    const { pixels, share, probability } = found[label.id];
    const swatch = element('span', { className: 'swatch' });
    swatch.style.background = `rgb(${label.color.join(' ')})`;
    const area = spacing ? (pixels * spacing[0] * spacing[1]).toFixed(0) : (100 * share).toFixed(1);
    return element(
      'tr',
      { className: pixels ? '' : 'absent' },
      element('th', { scope: 'row' }, swatch, label.name),
      element('td', {}, pixels ? area : 'not found'),
      element('td', {}, probability === null ? '' : probability.toFixed(2)),
    );
  });
  $('classes').tBodies[0].replaceChildren(...rows);
  const present = contract.labels.filter((label) => label.id && found[label.id].pixels).map((label) => label.name);
  $('canvas').setAttribute('aria-label', `${name}: ${present.length ? present.join(', ') : 'nothing was found'}`);
}

/** The slice slider; null hides it. */
export function slices(scan) {
  $('slice-row').hidden = !scan;
  if (scan) Object.assign($('slice'), { max: scan.slices - 1, value: Math.floor(scan.slices / 2) });
}

export function sliceValue(index, count) {
  $('slice-value').textContent = `${index + 1} of ${count}`;
}

export function camera(live) {
  Object.assign($('camera'), { textContent: live ? 'Hold this picture' : 'Use the camera' });
  $('camera').setAttribute('aria-pressed', String(live));
}

const milliseconds = (value) => (value === undefined ? '' : value.toFixed(2));

function latency(last, runs) {
  const rows = STAGES.map((stage) => {
    const values = runs.map((run) => run[stage]);
    const numbers = [
      last[stage],
      ...(runs.length ? [quantile(values, 0.5), quantile(values, 0.9)] : [undefined, undefined]),
    ];
    return element(
      'tr',
      {},
      element('th', { scope: 'row' }, STAGE_NAMES[stage]),
      ...numbers.map((value) => element('td', {}, milliseconds(value))),
    );
  });
  $('latency').tBodies[0].replaceChildren(...rows);
}

export function lastRun(stages) {
  latency(stages, []);
  $('export').disabled = $('json-details').hidden = true;
}

/** Median and p90, and the same as JSON for browsers that cannot save a file. */
export function measured(runs, json) {
  latency(runs.at(-1), runs);
  $('json').textContent = JSON.stringify(json);
  $('json-details').hidden = $('export').disabled = false;
  status(`self-test passed; measured ${runs.length} runs`, 'passed');
}

export function progress(share) {
  Object.assign($('progress'), { hidden: share === null, value: share ?? 0 });
}

export function offline(sentence) {
  const list = $('machine');
  list.append(element('dt', {}, 'works offline'), element('dd', { id: 'offline' }, sentence));
}

function download(blob, name) {
  const url = URL.createObjectURL(blob);
  element('a', { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

export function exportJson(json) {
  download(
    new Blob([`${JSON.stringify(json, null, 2)}\n`], { type: 'application/json' }),
    `latency-${json.artefact}.json`,
  );
}

/** PNG of the image's size: the overlay, the picture alone, or the mask whose grey values are label ids. */
export async function savePicture({ result, bundle }, what) {
  const { contract } = bundle;
  const { image, name } = result.source;
  const opacity = Number($('opacity').value) / 100;
  const drawn = tint(image, what === 'overlay' ? result.mask : null, contract, opacity);
  if (what === 'mask') result.mask.forEach((label, at) => drawn.rgba.fill(label, 4 * at, 4 * at + 3));
  const canvas = element('canvas');
  paint(canvas, drawn);
  const blob = await new Promise((done) => canvas.toBlob(done, 'image/png'));
  if (!blob)
    throw new DataError(`${image.width} x ${image.height} is too large to be saved here`, {
      next: 'use a smaller picture',
    });
  download(blob, `${name.replace(/[^\w.-]+/g, '-')}-${what}.png`);
}

/** Files that are dropped anywhere or pasted. */
export function onDrop(take) {
  const first = (transfer) => transfer?.files?.[0];
  document.addEventListener('dragover', (event) => {
    event.preventDefault();
    document.body.classList.add('dropping');
  });
  document.addEventListener('dragleave', (event) => event.relatedTarget ?? document.body.classList.remove('dropping'));
  document.addEventListener('drop', (event) => {
    event.preventDefault();
    document.body.classList.remove('dropping');
    if (first(event.dataTransfer)) take(first(event.dataTransfer));
  });
  document.addEventListener('paste', (event) => first(event.clipboardData) && take(first(event.clipboardData)));
}
