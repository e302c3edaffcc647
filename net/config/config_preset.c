/* The presets ("paper", "paper-bn", "paper2d", "auto") as lists of settings, and reading files of settings.
 *
 * The presets named after the paper follow Cicek et al. 2016. For what the paper does not say, they follow
 * the solver that its authors released. */
#include <string.h>

#include "io/json.h"
#include "io/path.h"
#include "net/config/config.h"

/* From Cicek et al. 2016: levels, widths, padding, input size, 70,000 iterations, batch 1, weighted
 * cross-entropy, Caffe's SGD. Learning rate and momentum are from the derived public solver
 * (arXiv:1704.06382). It names a step schedule without a factor, so the learning rate is constant here.
 *
 * Gradients are clipped (clip_norm keeps its default), as in all our networks. Without normalisation, a
 * single sample with a large gradient would otherwise end a run; this happened in one of the first six runs
 * on real slices, at step 51. With batch normalisation, the gradients stayed below the limit in all runs that
 * we examined.
 *
 * `labels` and `channels` stay 0 (taken from the data). A caller that describes the network without data sets
 * them to the paper's 3 and 3. */
#define PAPER                                                                                                \
    "levels=4", "base=32", "convs=2", "max_width=0", "double=before-pool", "norm=none",                      \
        "norm_statistics=tile", "activation=relu", "padding=valid", "kernel=3x3x3", "pool=2x2x2",            \
        "patch=132x132x116", "batch=1", "foreground_share=0", "augment=paper",                               \
        "loss=ce", "class_weights=auto", "optimizer=sgd", "lr=0.01", "momentum=0.99", "nesterov=false",      \
        "weight_decay=0", "schedule=constant", "average=0", "iterations=70000"

static const char *const preset_paper[] = {PAPER, NULL};
static const char *const preset_paper_bn[] = {PAPER, "norm=batch", NULL};
/* The paper's 2D baseline: the same layout on single slices. */
static const char *const preset_paper2d[] = {PAPER, "norm=batch", "plane=xy", NULL};
/* The settings of --net auto that differ from the defaults and do not depend on the data.
 * net/model/autoplan.c plans the others; it also lowers foreground_share for sparse labels, and switches
 * deep supervision off with valid convolutions. Augmentation is nnU-Net's, and so is deep supervision,
 * except that the coarsest decoder level has a loss as well. The optimizer is not nnU-Net's, because runs
 * take minutes on a CPU: after 480 iterations on hippocampus, mean Dice was 0.87, and 0.79 with nnU-Net's
 * SGD (31 training cases set apart). */
static const char *const preset_auto[] = {"resample=auto",         "augment=nnunet", "deep_supervision=all",
                                          "foreground_share=0.67", "optimizer=adam", "lr=0.002",
                                          "momentum=0.9",          "average=0.99",   "pseudo_labels=auto",
                                          "postprocess=auto",      NULL};

static const struct {
    const char *name;
    const char *const *keys;
} presets[] = {{"paper", preset_paper},
               {"paper-bn", preset_paper_bn},
               {"paper2d", preset_paper2d},
               {"auto", preset_auto}};

static const char *const *preset_keys(const char *name)
{
    for (size_t i = 0; i < sizeof presets / sizeof presets[0]; i++)
        if (strcmp(presets[i].name, name) == 0) return presets[i].keys;
    return NULL;
}

u3d_status u3d_config_preset(u3d_config *c, const char *net)
{
    u3d_config_default(c);
    const char *const *keys = preset_keys(net);
    for (; keys && *keys; keys++) {
        u3d_status status = u3d_config_set(c, *keys);
        U3D_ASSERT(status == U3D_OK, "preset %s: %s", net, u3d_error_text());
    }
    if (preset_keys(net)) return U3D_OK;
    if (!u3d_path_exists(net))
        return u3d_fail(U3D_E_ARG,
                        "unknown network '%s': it is neither a preset (paper, paper-bn, paper2d, auto) nor a file",
                        net);
    cJSON *json = NULL;
    U3D_TRY(u3d_json_read(net, &json));
    u3d_status status = u3d_config_from_json(c, json, net);
    cJSON_Delete(json);
    return status;
}
