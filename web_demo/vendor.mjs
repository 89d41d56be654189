/** Copies what the page needs from node_modules into vendor/, and writes vendor/files.json about it. */

import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';

const root = new URL('.', import.meta.url);
const packageOf = (name) => new URL(`node_modules/${name}/`, root);
const version = (name) => JSON.parse(readFileSync(new URL('package.json', packageOf(name)), 'utf8')).version;
const MODULES = {
  'litert/index.js': ['@litertjs/core', 'dist/index.js'],
  'wasm-utils/index.js': ['@litertjs/wasm-utils', 'dist/index.js'],
  'fflate/browser.js': ['fflate', 'esm/browser.js'],
};
for (const file of readdirSync(new URL('dist/', packageOf('nifti-reader-js')))) {
  if (file.endsWith('.js')) MODULES[`nifti/${file}`] = ['nifti-reader-js', `dist/${file}`];
}
// Plain, without relaxed SIMD for older browsers, and with threads; the fourth, jspi, is not used.
const WASM = ['litert_wasm_internal', 'litert_wasm_compat_internal', 'litert_wasm_threaded_internal'];

rmSync(new URL('vendor', root), { recursive: true, force: true });
for (const [path, [name, file]] of Object.entries(MODULES)) {
  mkdirSync(new URL('.', new URL(`vendor/${path}`, root)), { recursive: true });
  const text = readFileSync(new URL(file, packageOf(name)), 'utf8');
  writeFileSync(new URL(`vendor/${path}`, root), text.replace(/^\/\/# sourceMappingURL=.*$/m, ''));
}
const wasm = WASM.flatMap((name) => [`${name}.js`, `${name}.wasm`]);
for (const file of wasm)
  cpSync(new URL(`wasm/${file}`, packageOf('@litertjs/core')), new URL(`vendor/wasm/${file}`, root));
const files = { litert: version('@litertjs/core'), modules: Object.keys(MODULES).sort(), wasm };
writeFileSync(new URL('vendor/files.json', root), `${JSON.stringify(files, null, 2)}\n`);
console.log(`vendor/: LiteRT.js ${files.litert}, ${files.modules.length} modules, ${wasm.length / 2} wasm builds`);
