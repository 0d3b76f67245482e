// Where instants lie on a drawing. Pure.

/**
 * Return a function from instants (epoch ms) to a place between 0 and 1. Drawn to scale, places are proportional to
 * time; else each span between two instants gets room by how many digits it has, so that a wait of minutes does not
 * press what took milliseconds into one line. Order is kept always.
 */
export function scale(instants, { toScale = false } = {}) {
  const known = [...new Set(instants)].sort((one, other) => one - other);
  const [first, last] = [known[0], known.at(-1)];
  if (known.length < 2) return () => 0.5;
  if (toScale) return (at) => (at - first) / (last - first);
  const places = [0];
  for (let n = 1; n < known.length; n += 1) places.push(places[n - 1] + 0.35 + Math.log10(1 + (known[n] - known[n - 1]) / 2));
  const whole = places.at(-1);
  return (at) => {
    const after = known.findIndex((one) => one >= at);
    if (after <= 0) return after === 0 ? 0 : 1;
    const share = (at - known[after - 1]) / (known[after] - known[after - 1]);
    return (places[after - 1] + share * (places[after] - places[after - 1])) / whole;
  };
}
