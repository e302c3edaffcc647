/* The device's ceilings: fused multiply-adds from registers, and memory bandwidth of a triad. */

/* Eight independent chains of `rounds` steps each: enough to hide the latency of one. The stores keep the compiler
 * from dropping them. */
__kernel void peak_fma(OUT(float, out), const int rounds, const float factor, const float term)
{
    AT(out);
    const float x = (float)(get_global_id(0) % 256);
    float8 s = (float8)(x, x + 1.0f, x + 2.0f, x + 3.0f, x + 4.0f, x + 5.0f, x + 6.0f, x + 7.0f);
    for (int round = 0; round < rounds; round++) s = mad(s, factor, term);
    out[get_global_id(0)] = (s.s0 + s.s1) + (s.s2 + s.s3) + (s.s4 + s.s5) + (s.s6 + s.s7);
}

/* Numbers that are not zero: devices may be fast with zeros. */
__kernel void peak_fill(OUT(float, x), const int n)
{
    AT(x);
    const int i = (int)get_global_id(0);
    if (i < n) x[i] = (float)(i % 1021) * 0.001f + 0.5f;
}

/* a = b + factor * c over n float4 each: two read, one written. */
__kernel void peak_triad(OUT(float4, a), IN(float4, b), IN(float4, c), const int n, const float factor)
{
    AT(a);
    AT(b);
    AT(c);
    const int i = (int)get_global_id(0);
    if (i < n) a[i] = b[i] + factor * c[i];
}
