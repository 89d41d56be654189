/** Measured milliseconds: quantiles, and the file that "Export JSON" writes. */

/** The value below which `share` of the values lie, linear between neighbours, as numpy's percentile. */
export function quantile(values, share) {
  const sorted = Float64Array.from(values).sort();
  const at = (sorted.length - 1) * share;
  const low = Math.floor(at);
  return sorted[low] + (at - low) * (sorted[Math.min(low + 1, sorted.length - 1)] - sorted[low]);
}

export const STAGES = ['pre', 'model', 'post', 'end_to_end'];

/** Durations of one run -> one row, from four readings of the clock. */
export function stagesOf(start, before, after, end) {
  return { pre: before - start, model: after - before, post: end - after, end_to_end: end - start };
}

/**
 * The file for a benchmark's reader. `milliseconds` is the model alone: input in, logits out.
 * @param {object} facts bundle, model, runtime
 * @param {object[]} runs rows of `stagesOf`
 */
export function measurement({ bundle, model, runtime }, runs) {
  const column = (stage) => runs.map((run) => run[stage]);
  return {
    schema: 1,
    contract: bundle.contract.name,
    manifest_sha256: bundle.manifestSha256,
    artefact: model.artefact.id,
    runtime,
    accelerator: model.accelerator,
    threads: model.threads,
    isolated: Boolean(globalThis.crossOriginIsolated),
    user_agent: navigator.userAgent,
    milliseconds: column('model'),
    stages: Object.fromEntries(STAGES.filter((stage) => stage !== 'model').map((stage) => [stage, column(stage)])),
  };
}
