/** Every file through every precision: {bundle, plain, artefacts, files: {name: {path, slices?}}, out, opacity?}. */

import { browse, choose, openFile, report, save, serve, settled, task } from './page.mjs';

const server = await serve(task);
const { browser, page, trouble } = await browse(server.url);
const first = await settled(page);
const said = {};
for (const artefact of task.artefacts) {
  said[artefact] = await choose(page, 'artefact', artefact);
  for (const [name, { path, slices }] of Object.entries(task.files)) {
    const message = await openFile(page, path);
    if (message) throw new Error(`${name}: ${message}`);
    if (!slices && artefact === task.artefacts[0]) await save(page, 'save-picture', `${task.out}/${name}.png`);
    for (const index of slices ?? [null]) {
      if (index !== null) {
        await page.locator('#slice').fill(String(index));
        await page.waitForFunction(
          (at) => document.getElementById('caption').textContent.includes(`slice ${at},`),
          index + 1,
        );
      }
      await save(page, 'save-mask', `${task.out}/${artefact}-${name}${index === null ? '' : `-${index}`}.png`);
    }
  }
}
if (task.opacity) {
  await page.locator('#opacity').fill(String(task.opacity));
  await save(page, 'save-overlay', `${task.out}/overlay.png`);
}
const classes = await page.locator('#classes').innerText();
await browser.close();
server.stop();
report({ first, said, classes, trouble });
