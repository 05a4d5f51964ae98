// Puts `nodes` into a list in that order and moves as few as can be: what moves is rendered anew. Whether any did.
export function place(list, nodes) {
  const was = new Map([...list.children].map((node, at) => [node, at]));
  const staying = rising(nodes.map((node) => was.get(node) ?? -1));
  let next = null;
  for (let n = nodes.length - 1; n >= 0; n -= 1) {
    if (!staying.has(n)) list.insertBefore(nodes[n], next);
    next = nodes[n];
  }
  return staying.size < nodes.length;
}

// The indexes of a longest rising subsequence (by patience sorting); ranks below 0 are of none.
function rising(ranks) {
  const ends = []; // ends[k]: where the lowest of all rises of k + 1 ranks ends
  const before = [];
  ranks.forEach((rank, n) => {
    if (rank < 0) return;
    let [low, high] = [0, ends.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (ranks[ends[middle]] < rank) low = middle + 1;
      else high = middle;
    }
    before[n] = ends[low - 1];
    ends[low] = n;
  });
  const kept = new Set();
  for (let n = ends.at(-1); n !== undefined; n = before[n]) kept.add(n);
  return kept;
}
