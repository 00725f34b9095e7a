// Judges documents as an editor does. Standard input: {"schema": …, "documents": [text, …], "completions": [[text, line,
// character], …]}. Standard output: {"verdicts": [[message, …], …], "completions": [[label, …], …]}.
"use strict";
const path = require("path");
const { getLanguageService } = require("yaml-language-server");
const { TextDocument } = require(path.join(__dirname, "node_modules", "vscode-languageserver-textdocument"));

const SCHEMA = "file:///integration.schema.json";

async function main() {
  const given = JSON.parse(require("fs").readFileSync(0, "utf8"));
  const schema = JSON.stringify(given.schema);
  const service = getLanguageService({
    schemaRequestService: async (uri) => {
      if (uri === SCHEMA) return schema;
      throw new Error(`no network in tests: ${uri}`);
    },
    workspaceContext: { resolveRelativePath: (relative, base) => new URL(relative, base).href },
  });
  service.configure({
    validate: true,
    completion: true,
    hover: true,
    isKubernetes: false,
    customTags: [],
    schemas: [{ uri: SCHEMA, fileMatch: ["*.yaml"] }],
  });
  let number = 0;
  const open = (text) => TextDocument.create(`file:///integrations/d${number++}.yaml`, "yaml", 0, text);
  const verdicts = [];
  for (const text of given.documents) {
    const found = await service.doValidation(open(text), false);
    verdicts.push(found.filter((it) => it.severity !== 3 && it.severity !== 4).map((it) => it.message));
  }
  const completions = [];
  for (const [text, line, character] of given.completions) {
    const found = await service.doComplete(open(text), { line, character }, false);
    completions.push(found.items.map((it) => it.label));
  }
  const hovers = [];
  for (const [text, line, character] of given.hovers) {
    const found = await service.doHover(open(text), { line, character });
    hovers.push(found === null ? "" : JSON.stringify(found.contents));
  }
  process.stdout.write(JSON.stringify({ verdicts, completions, hovers }));
}

main().catch((error) => {
  process.stderr.write(`${error.stack}\n`);
  process.exit(1);
});
