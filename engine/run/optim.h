/* SGD with (Nesterov) momentum and Adam over the flat blocks; schedules; clipping.
 *
 * hyper [8] of sgd_step:  lr, momentum, weight_decay, grad_scale, nesterov (0/1), 0, 0, 0
 *     g = grad*grad_scale + weight_decay*value;  velocity = momentum*velocity + g;
 *     value -= lr * (nesterov ? g + momentum*velocity : velocity)          (PyTorch's convention)
 * hyper [8] of adam_step: lr, beta1, beta2, eps, weight_decay, grad_scale, 1-beta1^t, 1-beta2^t
 *     m = beta1*m + (1-beta1)*g;  v = beta2*v + (1-beta2)*g*g, g = grad*grad_scale;
 *     value -= lr * (m/c1 / (sqrt(v/c2) + eps) + weight_decay*value)
 * Sources: Sutskever et al. 2013; Kingma & Ba 2015; Loshchilov & Hutter 2019 (decoupled decay). */
#ifndef U3D_ENGINE_OPTIM_H
#define U3D_ENGINE_OPTIM_H

#include "engine/run/params.h"

typedef enum u3d_optim_kind { U3D_OPTIM_SGD, U3D_OPTIM_ADAM } u3d_optim_kind;
typedef enum u3d_schedule { U3D_LR_CONSTANT, U3D_LR_STEP, U3D_LR_POLY, U3D_LR_COSINE } u3d_schedule;

typedef struct u3d_optim_opts {
    u3d_optim_kind kind;
    u3d_schedule schedule;
    double lr, momentum, beta1, beta2, eps, weight_decay;
    bool nesterov;
    double clip_norm;       /* 0: off */
    int64_t warmup_steps;   /* linear: (step + 1) / (warmup_steps + 1); the schedule starts behind it */
    int64_t total_steps;    /* poly (exponent 0.9) and cosine end here, counted with the warmup */
    int64_t step_size;      /* step: every so many steps ... */
    double step_gamma;      /* ... lr *= gamma */
    double average;         /* decay of the running average of the weights (e.g. 0.999); 0: off */
} u3d_optim_opts;

typedef struct u3d_optim u3d_optim;
typedef struct u3d_optim_stats {
    double lr, grad_norm;
    bool skipped; /* the gradient norm was not finite: nothing was changed */
} u3d_optim_stats;

/* Blocks that `o` needs, as bits for u3d_params_new. */
uint32_t u3d_optim_blocks(const u3d_optim_opts *o);
double u3d_optim_lr(const u3d_optim_opts *o, int64_t step); /* learning rate of step 0, 1, ... */

u3d_status u3d_optim_new(u3d_params *p, const u3d_optim_opts *o, u3d_optim **out);
void u3d_optim_free(u3d_optim *o);
u3d_status u3d_optim_step(u3d_optim *o, u3d_optim_stats *out);

/* Steps counted so far, applied and skipped: the schedule, Adam's t and the average's count. Set when a run is resumed. */
int64_t u3d_optim_steps(const u3d_optim *o);
void u3d_optim_set_steps(u3d_optim *o, int64_t steps);

#endif
