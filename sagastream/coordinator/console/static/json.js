// JSON as it was written: a number that JavaScript cannot hold stays the number it is.
const PIECES = /"(?:[^"\\]|\\.)*"|[[\]{},:]|[^\s[\]{},:"]+/g;
const opens = (piece) => piece === "{" || piece === "[";
const closes = (piece) => piece === "}" || piece === "]";

/** JSON text laid out, a line for each value; what is no JSON is returned as it stands. */
export function pretty(text) {
  try {
    JSON.parse(text);
  } catch {
    return text ?? "";
  }
  const pieces = String(text).match(PIECES);
  let [told, depth] = ["", 0];
  const line = () => `\n${"  ".repeat(depth)}`;
  for (const [n, piece] of pieces.entries()) {
    if (opens(piece) && !closes(pieces[n + 1])) {
      depth += 1;
      told += piece + line();
    } else if (closes(piece) && !opens(pieces[n - 1])) {
      depth -= 1;
      told += line() + piece;
    } else if (piece === ",") told += piece + line();
    else if (piece === ":") told += ": ";
    else told += piece.startsWith("\"") ? JSON.stringify(JSON.parse(piece)) : piece;
  }
  return told;
}
