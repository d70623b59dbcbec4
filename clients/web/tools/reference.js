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

/** To be handed on as they are: what is in them concerns nobody. */
const OPAQUE = ['Change', 'StatePlugin'];

const program = ts.createProgram(ENTRIES.map(([, file]) => root + file), { strict: true, module: ts.ModuleKind.NodeNext, moduleResolution: ts.ModuleResolutionKind.NodeNext, types: [] });
const checker = program.getTypeChecker();

const page = [
  '# The web client: reference',
  '',
  'Made from the types by `npm run docs` in `clients/web`; begin with its [README](../clients/web/README.md).',
];
/** Described once, where it comes first. @type {Set<ts.Symbol>} */
const described = new Set();
const exported = new Set(ENTRIES.flatMap(([, file]) => exportsOf(file)));
for (const [name, file] of ENTRIES) {
  page.push('', `## ${name}`, '', moduleWords(file));
  const things = exportsOf(file).filter((it) => !isType(it) && !isInternal(it));
  things.filter(isFresh).sort(byName).forEach(describe);
  // What nothing names is the module's own.
  const types = [...namedBy(things)].filter(isFresh).sort(byName);
  const own = new Set(exportsOf(file));
  describeTypes(`Types of ${name}`, '', types.filter((it) => own.has(it)));
  describeTypes(`Further types of ${name}`, 'Named above, and not to be imported.', types.filter((it) => !exported.has(it)));
}
const text = `${page.join('\n')}\n`;
if (process.argv.includes('--check')) {
  const [hollow] = /^type (\w+(?:<.*>)?) = \1;$|^.*import\(".*$/m.exec(text) ?? [];
  if (hollow !== undefined) {
    console.error(`docs/web-client.md says nothing by \`${hollow}\``);
    process.exitCode = 1;
  }
  if (readFileSync(PAGE, 'utf8') !== text) {
    console.error('docs/web-client.md is not what the types say: npm run docs');
    process.exitCode = 1;
  }
} else {
  writeFileSync(PAGE, text);
}

/** @param {ts.Symbol} symbol */
function isFresh(symbol) {
  return !described.has(symbol);
}

/**
 * @param {ts.Symbol} a
 * @param {ts.Symbol} b
 */
function byName(a, b) {
  return a.name < b.name ? -1 : 1;
}

/**
 * @param {string} file of an entry
 * @returns {ts.Symbol[]}
 */
function exportsOf(file) {
  const source = program.getSourceFile(root + file);
  const module = source && checker.getSymbolAtLocation(source);
  if (!module) {
    throw new Error(`there is no ${file}: npm run build`);
  }
  return [...new Set(checker.getExportsOfModule(module).map(resolve))];
}

/**
 * What an alias stands for, and a type that is another module's by name: `type X = import('./types.js').X`.
 *
 * @param {ts.Symbol} symbol
 * @returns {ts.Symbol}
 */
function resolve(symbol) {
  const found = symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
  const declaration = found.declarations?.[0];
  const type = declaration && ts.isTypeAliasDeclaration(declaration) ? declaration.type : undefined;
  const isSame = (/** @type {ts.TypeNode} */ it, /** @type {number} */ at) => it.getText() === /** @type {ts.TypeAliasDeclaration} */ (declaration).typeParameters?.[at].getText();
  if (type && ts.isImportTypeNode(type) && type.qualifier && (type.typeArguments ?? []).every(isSame)) {
    const named = checker.getSymbolAtLocation(type.qualifier);
    return named?.declarations ? resolve(named) : found;
  }
  return found.declarations ? found : symbol;
}

/** @param {ts.Symbol} symbol */
function isType(symbol) {
  return (symbol.flags & ts.SymbolFlags.TypeAlias) !== 0;
}

/**
 * Types of this package that are named where these are described, and where those are.
 *
 * @param {ts.Symbol[]} symbols
 * @param {Set<ts.Symbol>} [found]
 */
function namedBy(symbols, found = new Set()) {
  const look = (/** @type {ts.Node} */ node) => {
    if ((ts.isClassElement(node) && node.name && ts.isPrivateIdentifier(node.name)) || (ts.isTypeNode(node) && literals(node) !== null)) {
      return;
    }
    const name = ts.isTypeReferenceNode(node) ? node.typeName : ts.isImportTypeNode(node) ? node.qualifier : undefined;
    const at = name && checker.getSymbolAtLocation(name);
    const symbol = at && resolve(at);
    if (symbol && isType(symbol) && isOurs(symbol) && !found.has(symbol)) {
      found.add(symbol);
      namedBy([symbol], found);
    }
    ts.forEachChild(node, look);
  };
  for (const { name, declarations } of symbols) {
    const [declaration] = declarations ?? [];
    if (!OPAQUE.includes(name) && !isMade(declaration)) {
      ts.forEachChild(declaration, look);
    }
  }
  return found;
}

/** @param {ts.Symbol} symbol */
function made(symbol) {
  const { InTypeAlias, MultilineObjectLiterals, NoTruncation } = ts.NodeBuilderFlags;
  const node = checker.typeToTypeNode(checker.getDeclaredTypeOfSymbol(symbol), undefined, InTypeAlias | MultilineObjectLiterals | NoTruncation);
  const source = /** @type {ts.SourceFile} */ (program.getSourceFile(root + ENTRIES[0][1]));
  return ts.createPrinter().printNode(ts.EmitHint.Unspecified, /** @type {ts.TypeNode} */ (node), source);
}

/** @param {ts.Symbol} symbol */
function isOurs(symbol) {
  return symbol.declarations?.[0].getSourceFile().fileName.startsWith(`${root}types/`) === true;
}

/**
 * Whether a type is what a generic type of this package makes of something: shown as what comes of it.
 *
 * @param {ts.Node | undefined} declaration
 */
function isMade(declaration) {
  const type = declaration && ts.isTypeAliasDeclaration(declaration) ? declaration.type : undefined;
  const symbol = type && ts.isTypeReferenceNode(type) && type.typeArguments ? checker.getSymbolAtLocation(type.typeName) : undefined;
  return symbol !== undefined && isOurs(resolve(symbol));
}

/**
 * What a generic type of this package makes of something, where that is some literals.
 *
 * @param {ts.TypeNode} node
 * @returns {string | null}
 */
function literals(node) {
  if (!(ts.isTypeReferenceNode(node) || ts.isImportTypeNode(node)) || !node.typeArguments) {
    return null;
  }
  const type = checker.getTypeFromTypeNode(node);
  const types = type.isUnion() ? type.types : [type];
  return types.every((it) => it.isStringLiteral()) ? types.map((it) => checker.typeToString(it)).join(' | ') : null;
}

/**
 * A type as a cell of a table has it.
 *
 * @param {ts.TypeNode} node
 * @param {boolean} isOptional what may be left out may be undefined
 * @returns {string}
 */
function shape(node, isOptional) {
  if (isOptional && ts.isUnionTypeNode(node)) {
    const types = node.types.filter(({ kind }) => kind !== ts.SyntaxKind.UndefinedKeyword);
    return types.length > 1 ? types.map((it) => shape(it, false)).join(' | ') : shape(types[0], false).replace(/^\((.*)\)$/s, '$1');
  }
  return literals(node) ?? node.getText();
}

/** @param {ts.Symbol} symbol */
function isInternal(symbol) {
  return symbol.getJsDocTags(checker).some(({ name }) => name === 'internal');
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
  described.add(symbol);
  const declaration = /** @type {ts.Declaration} */ (symbol.declarations?.[0]);
  page.push('', `### ${symbol.name}`);
  const said = words(symbol);
  if (said !== '') {
    page.push('', said);
  }
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
    page.push('', `\`on(name, listener, { signal })\` listens to its events, those of [\`${inline(events)}\`](#${inline(events).toLowerCase()}), and returns what stops it.`);
  }
  for (const member of declaration.members) {
    const known = member.name && checker.getSymbolAtLocation(member.name);
    if (!known || ts.isPrivateIdentifier(/** @type {ts.Node} */ (member.name))) {
      continue;
    }
    page.push('', `#### ${symbol.name}.${known.name.startsWith('__@') ? '[Symbol.iterator]' : known.name}`, '', '```ts', signature(member.getText()).replace(/\n {4}/g, '\n'), '```');
    const said = words(known);
    if (said !== '') {
      page.push('', said);
    }
    page.push(...parameters(known));
  }
}

/**
 * @param {string} title
 * @param {string} said
 * @param {ts.Symbol[]} symbols
 */
function describeTypes(title, said, symbols) {
  if (symbols.length > 0) {
    page.push('', `### ${title}`, ...(said === '' ? [] : ['', said]));
    symbols.forEach(describeType);
  }
}

/** @param {ts.Symbol} symbol */
function describeType(symbol) {
  described.add(symbol);
  const declaration = /** @type {ts.Declaration} */ (symbol.declarations?.[0]);
  page.push('', `#### ${symbol.name}`);
  const said = words(symbol);
  if (said !== '') {
    page.push('', said);
  }
  const type = ts.isTypeAliasDeclaration(declaration) ? declaration.type : undefined;
  if (OPAQUE.includes(symbol.name)) {
    return;
  }
  if (type === undefined || !ts.isTypeLiteralNode(type)) {
    page.push('', '```ts', isMade(declaration) ? `type ${symbol.name} = ${made(symbol)};` : signature(declaration.getText()), '```');
    return;
  }
  page.push('', '| field | type | |', '|---|---|---|');
  for (const member of type.members) {
    const known = member.name && checker.getSymbolAtLocation(member.name);
    if (known && ts.isPropertySignature(member) && member.type) {
      const isOptional = member.questionToken !== undefined;
      page.push(`| \`${known.name}${isOptional ? '?' : ''}\` | \`${inline(shape(member.type, isOptional))}\` | ${inline(words(known))} |`);
    } else if (ts.isIndexSignatureDeclaration(member)) {
      const [{ name, type: key }] = member.parameters;
      page.push(`| \`[${name.getText()}: ${key?.getText()}]\` | \`${inline(member.type.getText())}\` | |`);
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
