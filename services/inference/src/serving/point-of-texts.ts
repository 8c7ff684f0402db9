/**
 * A point in (0, 1] that follows from texts, alike in every process: 52 bits, evenly spread, and for texts that differ in
 * one letter without relation. For spreading, not for secrets, at a tenth of what SHA-256 costs. Two lanes
 * of 32 bits take up each UTF-16 unit by multiplication, and are mixed as MurmurHash3 ends.
 * @see Appleby 2011 (MurmurHash3, the finalizer fmix32).
 */
export const pointOfTexts = (...texts: readonly string[]): number => {
  let low = 0x2545f491;
  let high = 0x6c078965;
  for (const text of texts) {
    for (let at = 0; at < text.length; at++) {
      const unit = text.charCodeAt(at);
      low = Math.imul(low ^ unit, 0x9e3779b1);
      high = Math.imul(high ^ unit, 0x85ebca77);
      high ^= high >>> 15;
    }
    // Marks where a text ends: the parts of `a`, `bc` are not those of `ab`, `c`.
    low = Math.imul(low ^ 0x10000, 0x9e3779b1);
    high = Math.imul(high ^ 0x10000, 0x85ebca77);
  }
  low = mixed(low ^ (high >>> 16));
  high = mixed(high ^ low);
  return ((high >>> 0) * 2 ** 20 + (low >>> 12) + 1) / 2 ** 52;
};

const mixed = (bits: number): number => {
  let mixing = bits ^ (bits >>> 16);
  mixing = Math.imul(mixing, 0x85ebca6b);
  mixing ^= mixing >>> 13;
  mixing = Math.imul(mixing, 0xc2b2ae35);
  return mixing ^ (mixing >>> 16);
};
