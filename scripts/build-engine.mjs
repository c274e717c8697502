// The command "build" of the command line, for a clone: node scripts/build-engine.mjs SOURCE OUT [OPTIONS]
process.argv.splice(2, 0, 'build');
await import('../dist/cli/main.js');
