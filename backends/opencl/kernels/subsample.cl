/* Labels at a lower resolution, with one work-item per label of the result:
 *
 *   y[n,oz,oy,ox] = x[n, oz*SD + SD/2, oy*SH + SH/2, ox*SW + SW/2]; if that label is `ignore`, the label in
 *   the
 *                   window that is nearest to it and not `ignore`; the first one if several are equally near
 *
 * Axis 0 runs over a row of y, axis 1 over the rows of a plane, and axis 2 over the planes of all samples.
 * Because windows tile the map, plane z of y begins at plane z * SD of x in every sample. */
#ifndef SD
#define SD 2
#define SH 2
#define SW 2
#endif

__kernel __attribute__((reqd_work_group_size(64, 4, 1))) void
subsample(IN(uchar, x), OUT(uchar, y), const int ow, const int oh, const int ignore)
{
    AT(x);
    AT(y);
    const int ox = (int)get_global_id(0), oy = (int)get_global_id(1), oz = (int)get_global_id(2);
    if (ox >= ow || oy >= oh) return;
    const int row = ow * SW, plane = row * oh * SH;
    const int corner = oz * SD * plane + oy * SH * row + ox * SW;
    int label = x[corner + SD / 2 * plane + SH / 2 * row + SW / 2];
    if (label == ignore) {
        int least = INT_MAX;
        for (int k = 0; k < SD * SH * SW; k++) {
            const int kz = k / (SH * SW), ky = k / SW % SH, kx = k % SW;
            const int dz = kz - SD / 2, dy = ky - SH / 2, dx = kx - SW / 2;
            const int far = dz * dz + dy * dy + dx * dx, found = x[corner + kz * plane + ky * row + kx];
            if (found == ignore || far >= least) continue;
            least = far;
            label = found;
        }
    }
    y[(oz * oh + oy) * ow + ox] = (uchar)label;
}
