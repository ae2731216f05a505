// Counted random numbers: four words of a key and three counters (Philox4x32-10, Salmon et al. 2011; the fourth counter is 0).
#pragma once

struct Words {
    unsigned at[4];
};

__device__ inline Words philox(unsigned key_low, unsigned key_high, unsigned a, unsigned b, unsigned c) {
    unsigned d = 0;
#pragma unroll
    for (int round = 0; round < 10; ++round) {
        const unsigned long long p0 = 0xD2511F53ull * a, p1 = 0xCD9E8D57ull * c;
        a = static_cast<unsigned>(p1 >> 32) ^ b ^ key_low;
        b = static_cast<unsigned>(p1);
        c = static_cast<unsigned>(p0 >> 32) ^ d ^ key_high;
        d = static_cast<unsigned>(p0);
        key_low += 0x9E3779B9u;
        key_high += 0xBB67AE85u;
    }
    return {{a, b, c, d}};
}
