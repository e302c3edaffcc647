/* Functions shared by the references of softmax, cross entropy and Dice. */
#ifndef U3D_TESTS_REF_REF_LOSS_H
#define U3D_TESTS_REF_REF_LOSS_H

#include "engine/ops/op.h"

/* p [K] = softmax of logits [K]. */
void u3d_ref_softmax_row(const double *logits, int64_t n_classes, double *p);

/* Weight of a voxel: class_weight[label], or 0 if its label is a->ignore_label. */
double u3d_ref_voxel_weight(const u3d_loss_attr *a, double label, const double *class_weight);

#endif
