/** WebGPU on Chromium's software adapter: {artefacts, file, out}. It answers as a GPU does; its speed says nothing. */

import { browse, choose, openFile, report, save, serve, settled, task } from './page.mjs';

const server = await serve();
const args = ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader', '--enable-features=Vulkan'];
const { browser, page, trouble } = await browse(server.url, { args });
const first = await settled(page);
const said = {};
if (first.machine.includes('WebGPU\navailable')) {
  await choose(page, 'processor', 'webgpu');
  for (const artefact of task.artefacts) {
    said[artefact] = await choose(page, 'artefact', artefact);
    await openFile(page, task.file);
    await save(page, 'save-mask', `${task.out}/${artefact}.png`);
  }
}
await browser.close();
server.stop();
report({ first, said, trouble });
