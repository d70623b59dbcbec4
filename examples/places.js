// The row of links between the demos.

const PLACES = [
  ['/', 'Courtyard'],
  ['/arena/', 'Arena'],
  ['/arena/watch/', 'Watch'],
  ['/board/', 'Board'],
];

const row = document.getElementById('places-nav');
row?.append(...PLACES.map(([href, name]) => {
  const link = document.createElement('a');
  link.href = href;
  link.textContent = name;
  if (location.pathname === href) link.setAttribute('aria-current', 'page');
  return link;
}));
