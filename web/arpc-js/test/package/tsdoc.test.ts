/** Every exported name is documented in the declarations that users get, and every member of it. */

import { createRequire } from "node:module";
import { join } from "node:path";
import { expect, inject, it } from "vitest";

// TypeScript 7 has no compiler API: what the declarations say is read with that of 5.5.
const home = new URL("../runtimes/package.json", import.meta.url);
const ts = createRequire(home)("typescript") as Compiler;

/** The part of the compiler's API that is used here. */
interface Compiler {
  createProgram(files: string[], options: object): Program;
  ModuleKind: { NodeNext: number };
  ModuleResolutionKind: { NodeNext: number };
  SymbolFlags: { Alias: number; Interface: number; Class: number };
}
interface Program {
  getTypeChecker(): Checker;
  getSourceFile(path: string): unknown;
}
interface Checker {
  getSymbolAtLocation(node: unknown): Named | undefined;
  getExportsOfModule(module: Named): Named[];
  getAliasedSymbol(symbol: Named): Named;
}
interface Named {
  readonly name: string;
  readonly flags: number;
  readonly members?: Map<string, Named>;
  readonly exports?: Map<string, Named>;
  getDocumentationComment(checker: Checker): Array<{ text: string }>;
  readonly declarations?: unknown[];
}

/** The names that an entry exports, and those of them, and of their members, that nothing is said of. */
function read(entry: string): { exported: string[]; silent: string[] } {
  const path = join(inject("project"), `node_modules/arpc-js/dist/${entry}.d.ts`);
  const options = {
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    types: [],
  };
  const program = ts.createProgram([path], options);
  const checker = program.getTypeChecker();
  const module = checker.getSymbolAtLocation(program.getSourceFile(path));
  if (!module) throw new Error(`${entry} is no module`);
  const says = (symbol: Named): boolean => symbol.getDocumentationComment(checker).length > 0;
  const exported = checker.getExportsOfModule(module);
  const silent = exported.flatMap((symbol) => {
    const isAlias = (symbol.flags & ts.SymbolFlags.Alias) !== 0;
    const target = isAlias ? checker.getAliasedSymbol(symbol) : symbol;
    const members = [...(target.members?.values() ?? []), ...(target.exports?.values() ?? [])];
    // Symbols of the language, constructors, private names and type parameters speak for themselves.
    const named = members.filter(
      ({ name, flags }) => !/^(__|#|prototype$)/.test(name) && !(flags & TYPE_PARAMETER),
    );
    return [
      ...(says(target) ? [] : [symbol.name]),
      ...named.filter((member) => !says(member)).map(({ name }) => `${symbol.name}.${name}`),
    ];
  });
  return { exported: exported.map(({ name }) => name), silent };
}

const TYPE_PARAMETER = 1 << 18;

it.each([
  ["index", "connect"],
  ["core", "connect"],
  ["gzip", "gzip"],
  ["aead", "aead"],
  ["trace", "trace"],
  ["testing", "pair"],
  ["react/index", "useTopic"],
])("every name of %s says what it is", (entry, known) => {
  const { exported, silent } = read(entry);
  expect(exported).toContain(known);
  expect(silent).toEqual([]);
});
