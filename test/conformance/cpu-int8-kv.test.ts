import './cases/prefix-cache.js';
import './cases/sequences.js';
import { testCases } from './test-cases.js';

testCases('cpu-int8-kv');
