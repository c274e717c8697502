const PATHS = {
  menu: 'M3 5h14M3 10h14M3 15h9',
  plus: 'M10 4v12M4 10h12',
  settings: 'M3 6h8M15 6h2M3 14h2M9 14h8M13 4v4M7 12v4',
  send: 'M10 16V4M5 9l5-5 5 5',
  copy: 'M7 7h9v9H7zM4 13V4h9',
  check: 'M4 10.5l4 4 8-9',
  again: 'M16 10a6 6 0 1 1-1.8-4.3M16 3v3.5h-3.5',
  edit: 'M4 16l.8-3.2L13 4.6l2.4 2.4-8.2 8.2z',
  trash: 'M4 6h12M8 6V4h4v2M6 6l.7 10h6.6L14 6',
  close: 'M5 5l10 10M15 5L5 15',
  down: 'M10 4v12M5 11l5 5 5-5',
};

export function Icon({ name }: { name: keyof typeof PATHS | 'stop' }) {
  return (
    <svg class="icon" viewBox="0 0 20 20" aria-hidden="true">
      {name === 'stop' ? (
        <rect x="6" y="6" width="8" height="8" rx="1.5" fill="currentColor" />
      ) : (
        <path d={PATHS[name]} />
      )}
    </svg>
  );
}
