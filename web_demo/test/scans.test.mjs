/** NIfTI files in every orientation and type: SCANS=folder of *.nii[.gz] beside NAME.npy (slices, rows, columns). */

import assert from 'node:assert/strict';
import { openAsBlob, readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { isScan, readScan } from '../lib/nifti.mjs';
import { readNpy } from '../lib/npy.mjs';

const root = process.env.SCANS;
const skip = root ? false : 'SCANS is not set: see tests/demos/test_web.py';
const contract = { channels: 1, pixel: 'int16' };

async function fileOf(path, name) {
  return new File([await openAsBlob(path)], name);
}

test('scans are there', { skip }, () => assert.ok(readdirSync(root).filter(isScan).length >= 8));

for (const name of skip ? [] : readdirSync(root).filter(isScan)) {
  const stem = name.replace(/\.nii(\.gz)?$/, '');

  test(`${stem}: voxels and spacing`, async () => {
    const { shape, data } = readNpy(Uint8Array.from(readFileSync(`${root}/${stem}.npy`)).buffer);
    const { spacing } = JSON.parse(readFileSync(`${root}/${stem}.json`, 'utf8'));
    const scan = await readScan(await fileOf(`${root}/${name}`, name), contract);
    assert.deepEqual([scan.slices, scan.height, scan.width], shape);
    scan.spacing.forEach((value, at) => assert.ok(Math.abs(value - spacing[at]) < 1e-6));
    const size = scan.height * scan.width;
    for (let at = 0; at < scan.slices; at++) {
      assert.deepEqual(scan.slice(at).data, Float64Array.from(data.subarray(at * size, (at + 1) * size)));
    }
  });

  test(`${stem}: a cut file is refused`, async () => {
    const whole = readFileSync(`${root}/${name}`);
    const cut = new File([whole.subarray(0, Math.floor(whole.length * 0.6))], name);
    await assert.rejects(readScan(cut, contract), /truncated|not a readable/);
  });
}

test('a scan for a colour network is refused', { skip }, async () => {
  await assert.rejects(readScan(new File(['x'], 'a.nii'), { channels: 3 }), /wants 3 channels/);
});

test('what is not NIfTI is refused', async () => {
  await assert.rejects(readScan(new File([new Uint8Array(2000)], 'a.nii'), contract), /not a readable NIfTI/);
  await assert.rejects(readScan(new File(['x'], 'a.nii.gz'), contract), /not a readable NIfTI/);
});
