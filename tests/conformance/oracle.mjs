// node oracle.mjs CATEGORY FIRST_SEED COUNT FILE.jsonl   writes conformance cases
// node oracle.mjs --check FILE.jsonl                     runs them again and compares
// node oracle.mjs --run PROGRAM.json                     prints one program's trace
// CPython 3.14 comes as WebAssembly in the npm package `pyodide` (npm install pyodide).
import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { loadPyodide } from "pyodide";

const here = dirname(fileURLToPath(import.meta.url));

async function startPython() {
  const python = await loadPyodide({ stdout: () => {}, stderr: () => {} });
  for (const name of ["reference", "generate"]) {
    python.FS.writeFile(`/home/pyodide/${name}.py`, readFileSync(join(here, `${name}.py`)));
  }
  python.runPython("import asyncio, json, reference, generate");
  return python;
}
let python = await startPython();

if (process.argv[2] === "--check") {
  let good = 0, bad = 0;
  for (const line of readFileSync(process.argv[3], "utf8").split("\n").filter(Boolean)) {
    python.globals.set("line", line);
    const same = python.runPython(
      "case = json.loads(line); wanted = {k: case[k] for k in ('trace', 'lost')}\n"
      + "reference.run_program(case['program']) == wanted");
    same ? good++ : (bad++, console.log("differs:", JSON.parse(line).name));
  }
  console.log(`${good} passed, ${bad} failed`);
  process.exit(bad ? 1 : 0);
}

if (process.argv[2] === "--run") {
  python.globals.set("line", readFileSync(process.argv[3], "utf8"));
  console.log(python.runPython("json.dumps(reference.run_program(json.loads(line)), indent=1)"));
  process.exit(0);
}

const [category, first, count] = [process.argv[2], +process.argv[3], +process.argv[4]];
const file = process.argv[5];
writeFileSync(file, "");
let seed = first, written = 0;
while (written < count) {
  try {
    python.globals.set("category", category);
    python.globals.set("seed", seed);
    const line = python.runPython(`
program = generate.generate(category, seed)
used = json.dumps(program["coros"])
program["objects"] = {k: v for k, v in program["objects"].items() if '"%s"' % k in used}
program["context_vars"] = [v for v in program["context_vars"] if '"%s"' % v in used]
program = json.loads(json.dumps(program))
result = reference.run_program(program)
again = reference.run_program(program)
good = result and result == again and 12 < len(result["trace"]) < 250
json.dumps({"name": f"{category}/{seed}", "program": program, **result}) if good else ""
`);
    if (line) { appendFileSync(file, line + "\n"); written++; }
  } catch (error) {
    // Await cycles recurse without end when cancelled; CPython dies of it too.
    console.error(`${category}/${seed}: ${String(error.message).slice(-120)}`);
    python = await startPython();
  }
  seed++;
}
