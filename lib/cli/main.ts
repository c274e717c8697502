#!/usr/bin/env node
import { parseArgs } from 'node:util';
import { LLMError } from '../index.js';
import { build } from './build.js';
import { chat } from './chat.js';
import { type Command, Interrupted, ToldFailure, UsageError } from './command.js';
import { convert } from './convert.js';
import { doctor } from './doctor.js';
import { plan } from './plan.js';
import { pull } from './pull.js';
import { query } from './query.js';
import { serve } from './serve.js';
import { setup } from './setup.js';
import { verify } from './verify.js';

const COMMANDS: readonly Command[] = [pull, plan, build, convert, verify, query, chat, serve, setup, doctor];

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;
const EXIT_INTERRUPTED = 130; // 128 + SIGINT, as shells count

const HELP = `node-tensorrt-llm: large language models inside Node.js

Usage: node-tensorrt-llm COMMAND [ARGUMENTS] [OPTIONS]

Commands:
${COMMANDS.map(({ usage, summary }) => `  ${usage.padEnd(26)}  ${summary}`).join('\n')}

  node-tensorrt-llm COMMAND --help lists the options of a command.
  Every command takes --json: one JSON object per line on standard output.

Exit status: 0 done, ${EXIT_FAILED} failed, ${EXIT_USAGE} wrong arguments, ${EXIT_INTERRUPTED} interrupted.
`;

async function main(args: string[]): Promise<number> {
  const [name, ...rest] = args;
  if (name === undefined || name === 'help' || name === '--help' || name === '-h') {
    process.stdout.write(HELP);
    return name === undefined ? EXIT_USAGE : 0;
  }
  const command = COMMANDS.find((each) => each.name === name);
  const json = rest.includes('--json');
  try {
    if (!command) throw new UsageError(`Unknown command "${name}".`);
    if (rest.includes('--help') || rest.includes('-h')) {
      process.stdout.write(command.help);
      return 0;
    }
    await command.run(parse(command, rest), interruptSignal());
    return 0;
  } catch (error) {
    return report(error, json, command?.name);
  }
}

const messageOf = (thrown: unknown): string => (thrown instanceof Error ? thrown.message : String(thrown));

function parse(command: Command, args: string[]): Parameters<Command['run']>[0] {
  try {
    return parseArgs({ args, options: command.options, allowPositionals: true });
  } catch (error) {
    throw new UsageError(messageOf(error));
  }
}

/** Aborts at the first Ctrl-C; a second one ends the process at once. */
function interruptSignal(): AbortSignal {
  const controller = new AbortController();
  process.once('SIGINT', () => controller.abort(new Interrupted()));
  return controller.signal;
}

function report(error: unknown, json: boolean, command: string | undefined): number {
  if (error instanceof Interrupted) return EXIT_INTERRUPTED;
  if (error instanceof ToldFailure) return EXIT_FAILED;
  const usage = error instanceof UsageError;
  const code = usage ? 'USAGE' : LLMError.is(error) ? error.code : 'ERR_INTERNAL';
  const text = LLMError.is(error) || usage ? messageOf(error) : error instanceof Error ? error.stack : String(error);
  if (json) process.stdout.write(`${JSON.stringify({ type: 'error', code, message: messageOf(error) })}\n`);
  const help = command ? `node-tensorrt-llm ${command} --help` : 'node-tensorrt-llm --help';
  process.stderr.write(usage ? `${text} See ${help}\n` : `${code}: ${text}\n`);
  return usage ? EXIT_USAGE : EXIT_FAILED;
}

// A reader such as head may close the pipe; that is its choice and no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : EXIT_FAILED));

process.exitCode = await main(process.argv.slice(2));
