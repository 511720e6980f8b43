import { startShell } from '../lib/shell.js';
await startShell({ page: 'start', sections: [] });
