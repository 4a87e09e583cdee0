// NumPy's RandomState(seed).randn, number for number, so that seeds show the same pictures everywhere:
// the Mersenne Twister MT19937 (Matsumoto and Nishimura, 1998) and Marsaglia's polar method.

const N = 624, M = 397;

/** The generator of a seed: `next()` is a standard normal number. */
export class RandomState {
  constructor(seed) {
    this.words = new Uint32Array(N);
    this.words[0] = seed;
    for (let i = 1; i < N; i++) {
      const before = this.words[i - 1] ^ (this.words[i - 1] >>> 30);
      this.words[i] = Math.imul(1812433253, before) + i;
    }
    this.at = N;
    this.kept = null;
  }

  /** 32 random bits. */
  bits() {
    const w = this.words;
    if (this.at === N) {
      for (let i = 0; i < N; i++) {
        const y = (w[i] & 0x80000000) | (w[(i + 1) % N] & 0x7fffffff);
        w[i] = w[(i + M) % N] ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
      }
      this.at = 0;
    }
    let y = w[this.at++];
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  }

  /** Uniform in [0, 1), of 53 bits. */
  uniform() {
    const high = this.bits() >>> 5, low = this.bits() >>> 6;
    return (high * 67108864 + low) / 9007199254740992;
  }

  next() {
    if (this.kept !== null) {
      const kept = this.kept;
      this.kept = null;
      return kept;
    }
    let x, y, r;
    do {
      x = 2 * this.uniform() - 1;
      y = 2 * this.uniform() - 1;
      r = x * x + y * y;
    } while (r >= 1 || r === 0);
    const scale = Math.sqrt((-2 * Math.log(r)) / r);
    this.kept = scale * x;
    return scale * y;
  }
}

/** The latent z of a seed, Float32Array. */
export function latent(seed, size) {
  const random = new RandomState(seed);
  return Float32Array.from({ length: size }, () => random.next());
}
