/* Optimizers over the flat parameter blocks: SGD with momentum (plain or Nesterov) and Adam; learning rate
 * schedules; gradient clipping; a running average of the weights.
 *
 * hyper [8] of sgd_step:  lr, momentum, weight_decay, grad_scale, nesterov (0/1), 0, 0, 0
 *     g = grad*grad_scale + weight_decay*value;  velocity = momentum*velocity + g;
 *     value -= lr * (nesterov ? g + momentum*velocity : velocity)          (PyTorch's convention)
 * hyper [8] of adam_step: lr, beta1, beta2, eps, weight_decay, grad_scale, 1-beta1^t, 1-beta2^t
 *     m = beta1*m + (1-beta1)*g;  v = beta2*v + (1-beta2)*g*g, g = grad*grad_scale;
 *     value -= lr * (m/c1 / (sqrt(v/c2) + eps) + weight_decay*value),
 *     where c1 = 1-beta1^t and c2 = 1-beta2^t, and t counts steps from 1
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
    double clip_norm;     /* largest norm of the gradient; 0: no clipping                         */
    int64_t warmup_steps; /* lr times (step + 1) / (warmup_steps + 1); then the schedule begins   */
    int64_t total_steps;  /* poly (exponent 0.9) and cosine reach 0 here; includes the warmup     */
    int64_t step_size;    /* schedule step: lr is multiplied by step_gamma every step_size steps  */
    double step_gamma;
    double average;       /* decay of the running average of the weights, e.g. 0.999; 0: off      */
} u3d_optim_opts;

typedef struct u3d_optim u3d_optim;
typedef struct u3d_optim_stats {
    double lr, grad_norm;
    bool skipped; /* true if the gradient norm was not finite; nothing was changed then */
} u3d_optim_stats;

/* The blocks that an optimizer with these options needs, as bits for u3d_params_new. */
uint32_t u3d_optim_blocks(const u3d_optim_opts *o);
double u3d_optim_lr(const u3d_optim_opts *o, int64_t step); /* learning rate of a step; steps count from 0 */

u3d_status u3d_optim_new(u3d_params *p, const u3d_optim_opts *o, u3d_optim **out);
void u3d_optim_free(u3d_optim *o);
/* Updates the values from the gradients. A gradient norm that is not finite is not an error: the step is
 * skipped. */
u3d_status u3d_optim_step(u3d_optim *o, u3d_optim_stats *out);

/* The number of steps so far, applied and skipped. The schedule, Adam's t and the decay of the average depend
 * on it, so it must be set when training is resumed. */
int64_t u3d_optim_steps(const u3d_optim *o);
void u3d_optim_set_steps(u3d_optim *o, int64_t steps);

#endif
