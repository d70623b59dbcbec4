// Writes docs/web-client.md, the reference, from the declarations in types/ (`npm run build` makes them).
//
// node tools/reference.js           writes it
// node tools/reference.js --check   fails when it is not what the declarations say

import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const root = fileURLToPath(new URL('..', import.meta.url));
const PAGE = fileURLToPath(new URL('../../../docs/web-client.md', import.meta.url));
const ENTRIES = [
  ['madang-client', 'types/src/index.d.ts'],
  ['madang-client/state', 'types/src/state.d.ts'],
  ['madang-client/http', 'types/src/http.d.ts'],
  ['madang-client/watch', 'types/src/watch.d.ts'],
  ['madang-client/react', 'types/react/index.d.ts'],
];

const program = ts.createProgram(ENTRIES.map(([, file]) => root + file), { strict: true, module: ts.ModuleKind.NodeNext, moduleResolution: ts.ModuleResolutionKind.NodeNext, types: [] });
const checker = program.getTypeChecker();

const page = [
  '# The web client: reference',
  '',
  'Made from the types by `npm run docs` in `clients/web`; begin with its [README](../clients/web/README.md).',
];
/** Described once, where it comes first. @type {Set<ts.Symbol>} */
const described = new Set();
for (const [name, file] of ENTRIES) {
  const source = program.getSourceFile(root + file);
  const module = source && checker.getSymbolAtLocation(source);
  if (!source || !module) {
    throw new Error(`there is no ${file}: npm run build`);
  }
  page.push('', `## ${name}`, '', moduleWords(file));
  const symbols = checker.getExportsOfModule(module).map((it) => (it.flags & ts.SymbolFlags.Alias ? resolve(it) : it));
  const fresh = [...new Set(symbols)].filter((it) => !described.has(it) && it.declarations?.length);
  fresh.forEach((it) => described.add(it));
  const isType = (/** @type {ts.Symbol} */ it) => (it.flags & ts.SymbolFlags.TypeAlias) !== 0;
  const byName = (/** @type {ts.Symbol} */ a, /** @type {ts.Symbol} */ b) => (a.name < b.name ? -1 : 1);
  fresh.filter((it) => !isType(it)).sort(byName).forEach(describe);
  const types = fresh.filter(isType).sort(byName);
  if (types.length > 0) {
    page.push('', `### Types of ${name}`);
    types.forEach(describeType);
  }
}
const text = `${page.join('\n')}\n`;
if (process.argv.includes('--check')) {
  if (readFileSync(PAGE, 'utf8') !== text) {
    console.error('docs/web-client.md is not what the types say: npm run docs');
    process.exitCode = 1;
  }
} else {
  writeFileSync(PAGE, text);
}

/**
 * What an alias stands for: a type that is handed on by name is an alias of an alias.
 *
 * @param {ts.Symbol} symbol
 * @returns {ts.Symbol}
 */
function resolve(symbol) {
  const found = checker.getAliasedSymbol(symbol);
  return found.declarations ? found : symbol;
}

/**
 * The words at the top of a module, without the code.
 *
 * @param {string} file
 */
function moduleWords(file) {
  const source = readFileSync(root + file.replace(/^types\//, '').replace(/\.d\.ts$/, '.js'), 'utf8');
  const [, block = ''] = /^\/\*\*\n([\s\S]*?)\*\//.exec(source) ?? [];
  return block.split('\n').map((line) => line.replace(/^ \* ?/, '')).filter((line) => !line.startsWith('@module')).join('\n').trim();
}

/** @param {ts.Symbol} symbol */
function words(symbol) {
  return ts.displayPartsToString(symbol.getDocumentationComment(checker)).trim();
}

/** @param {ts.Symbol} symbol a class, a function or a value */
function describe(symbol) {
  const declaration = /** @type {ts.Declaration} */ (symbol.declarations?.[0]);
  page.push('', `### ${symbol.name}`, '', words(symbol));
  if (!ts.isClassDeclaration(declaration)) {
    page.push('', '```ts', signature(declaration.getText()), '```', ...parameters(symbol));
    return;
  }
  const base = declaration.heritageClauses?.[0]?.types[0]?.getText();
  if (base && base !== 'Error' && !base.startsWith('Emitter')) {
    page.push('', `Extends \`${base}\`.`);
  }
  const [, events] = /^Emitter<(.*)>$/.exec(base ?? '') ?? [];
  if (events) {
    page.push('', `\`on(name, listener, { signal })\` listens to its events, those of \`${inline(events)}\`, and returns what stops it.`);
  }
  for (const member of declaration.members) {
    const known = member.name && checker.getSymbolAtLocation(member.name);
    if (!known || ts.isPrivateIdentifier(/** @type {ts.Node} */ (member.name))) {
      continue;
    }
    page.push('', `#### ${symbol.name}.${known.name.startsWith('__@') ? '[Symbol.iterator]' : known.name}`, '', '```ts', signature(member.getText()), '```');
    const said = words(known);
    if (said !== '') {
      page.push('', said);
    }
    page.push(...parameters(known));
  }
}

/** @param {ts.Symbol} symbol */
function describeType(symbol) {
  const declaration = /** @type {ts.Declaration} */ (symbol.declarations?.[0]);
  page.push('', `#### ${symbol.name}`);
  const said = words(symbol);
  if (said !== '') {
    page.push('', said);
  }
  const type = ts.isTypeAliasDeclaration(declaration) ? declaration.type : undefined;
  if (type === undefined || !ts.isTypeLiteralNode(type)) {
    page.push('', '```ts', signature(declaration.getText()), '```');
    return;
  }
  page.push('', '| field | type | |', '|---|---|---|');
  for (const member of type.members) {
    const known = member.name && checker.getSymbolAtLocation(member.name);
    const shape = ts.isPropertySignature(member) ? member.type?.getText() : undefined;
    if (known && shape) {
      const optional = member.questionToken ? '?' : '';
      page.push(`| \`${known.name}${optional}\` | \`${inline(shape)}\` | ${inline(words(known))} |`);
    }
  }
}

/** @param {ts.Symbol} symbol */
function parameters(symbol) {
  const lines = symbol
    .getJsDocTags(checker)
    .filter(({ name }) => name === 'param' || name === 'returns' || name === 'throws')
    .map(({ name, text }) => {
      const said = ts.displayPartsToString(text).trim();
      const [, first = '', rest = ''] = /^(\S+)\s*-?\s*([\s\S]*)$/.exec(said) ?? [];
      return name === 'param' ? rest && `* \`${first}\`: ${inline(rest)}` : said && `* ${name}: ${inline(said)}`;
    })
    .filter(Boolean);
  return lines.length > 0 ? ['', ...lines] : [];
}

/** @param {string} code of a declaration */
function signature(code) {
  return code
    .replace(/\/\*\*[\s\S]*?\*\/\s*/g, '')
    .replace(/^export (declare )?/, '')
    .replace(/import\("[^"]*"\)\./g, '')
    .trim();
}

/** @param {string} it for a cell of a table */
function inline(it) {
  return it.replace(/import\("[^"]*"\)\./g, '').replace(/\s+/g, ' ').replace(/\|/g, '\\|');
}
