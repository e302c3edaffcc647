/* The list of all ops, one line each: X(ID, "name"). The order is that of u3d_op; op.h says what each op
 * computes. */
#ifndef U3D_ENGINE_OP_LIST_H
#define U3D_ENGINE_OP_LIST_H

#define U3D_OP_LIST(X)                                                                                       \
    X(CONV3D, "conv3d")                                                                                      \
    X(CONV3D_DX, "conv3d_dx")                                                                                \
    X(CONV3D_DW, "conv3d_dw")                                                                                \
    X(UPCONV3D, "upconv3d")                                                                                  \
    X(UPCONV3D_DX, "upconv3d_dx")                                                                            \
    X(UPCONV3D_DW, "upconv3d_dw")                                                                            \
    X(MAXPOOL3D, "maxpool3d")                                                                                \
    X(MAXPOOL3D_DX, "maxpool3d_dx")                                                                          \
    X(NORM, "norm")                                                                                          \
    X(NORM_BACK, "norm_back")                                                                                \
    X(MOMENTS, "moments")                                                                                    \
    X(NORM_TABLE, "norm_table")                                                                              \
    X(RELU, "relu")                                                                                          \
    X(RELU_BACK, "relu_back")                                                                                \
    X(FILL, "fill")                                                                                          \
    X(COPY, "copy")                                                                                          \
    X(ADD, "add")                                                                                            \
    X(SCALE, "scale")                                                                                        \
    X(SUBSAMPLE, "subsample")                                                                                \
    X(CROP_CONCAT, "crop_concat")                                                                            \
    X(CROP_CONCAT_BACK, "crop_concat_back")                                                                  \
    X(SOFTMAX, "softmax")                                                                                    \
    X(SOFTMAX_XENT, "softmax_xent")                                                                          \
    X(SOFTMAX_XENT_BACK, "softmax_xent_back")                                                                \
    X(DICE, "dice")                                                                                          \
    X(DICE_BACK, "dice_back")                                                                                \
    X(SGD_STEP, "sgd_step")                                                                                  \
    X(ADAM_STEP, "adam_step")                                                                                \
    X(LERP, "lerp")                                                                                          \
    X(SUM_SQUARES, "sum_squares")

#endif
