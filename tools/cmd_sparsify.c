/* u3d sparsify: sparse annotation made from dense labels (tools/slices.h says which slices stay). */
#include <string.h>

#include "engine/mem.h"
#include "io/path.h"
#include "io/volume.h"
#include "tools/args_data.h"
#include "tools/slices.h"

typedef struct sparsify {
    int64_t slices[3]; /* across x, y, z */
    int32_t unlabeled;
    int64_t kept, total;
} sparsify;

static u3d_status volume_sparsify(sparsify *s, const char *path, u3d_volume *v)
{
    const int32_t *label = v->data;
    const int64_t n = u3d_volume_voxels(v);
    for (int a = 0; a < 3; a++)
        if (s->slices[a] > v->size[2 - a])
            return u3d_fail(U3D_E_ARG, "%s: --slices asks for %lld slices across %c, the volume has %lld", path,
                            (long long)s->slices[a], "xyz"[a], (long long)v->size[2 - a]);
    for (int64_t i = 0; i < n; i++)
        if (label[i] == s->unlabeled)
            return u3d_fail(U3D_E_FORMAT, "%s: voxel %lld,%lld,%lld has label %d, which is to mean unlabeled; choose another --unlabeled value",
                            path, (long long)(i % v->size[2]), (long long)(i / v->size[2] % v->size[1]),
                            (long long)(i / (v->size[1] * v->size[2])), label[i]);
    s->kept += slices_keep(v, s->slices, s->unlabeled);
    s->total += n;
    return U3D_OK;
}

static u3d_status file_sparsify(const args *a, sparsify *s, const char *in, const char *out)
{
    u3d_volume *v;
    U3D_TRY(args_free_output(a, out));
    U3D_TRY(u3d_nifti_read(in, U3D_VOLUME_LABEL, &v));
    u3d_status status = volume_sparsify(s, in, v);
    if (status == U3D_OK) status = u3d_nifti_write(out, v);
    u3d_volume_free(v);
    return status;
}

u3d_status cmd_sparsify(const args *a)
{
    u3d_status status = U3D_OK;
    sparsify s = {.unlabeled = 255};
    char **names = NULL, *in = NULL, *out = NULL;
    int n = 0;
    bool folder;
    int64_t unlabeled;
    U3D_GO(args_need("sparsify", "--label FILE|DIR", a->label));
    U3D_GO(args_need("sparsify", "--output FILE|DIR", a->output));
    U3D_GO(args_need("sparsify", "--slices NX,NY,NZ", a->slices));
    U3D_GO(args_slices(a->slices, s.slices));
    if (a->unlabeled) {
        U3D_GO(args_int("--unlabeled", a->unlabeled, INT32_MIN, INT32_MAX, &unlabeled));
        s.unlabeled = (int32_t)unlabeled;
    }
    U3D_GO(args_label_files(a->label, &names, &n, &folder));
    if (folder) U3D_GO(u3d_path_make_dir(a->output));
    for (int i = 0; i < n; i++) {
        in = folder ? u3d_path_join(a->label, names[i]) : u3d_strdup(names[i]);
        out = folder ? u3d_path_join(a->output, names[i]) : u3d_strdup(a->output);
        if (!in || !out) U3D_GO(U3D_E_NOMEM);
        U3D_GO(file_sparsify(a, &s, in, out));
        u3d_free(in);
        u3d_free(out);
        in = out = NULL;
    }
    printf("kept %.2f %% of the voxels of %d label file%s; the rest is %d (unlabeled)\n",
           100 * (double)s.kept / (double)s.total, n, n == 1 ? "" : "s", s.unlabeled);
done:
    u3d_free(in);
    u3d_free(out);
    u3d_path_list_free(names, n);
    return status;
}
