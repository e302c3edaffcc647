/* Plain up-convolutions: the adjoint of the convolution whose stride is its kernel, so that its kernels do.
 */
#include "backends/opencl/cl_conv3d.h"
#include "backends/opencl/cl_entries.h"

const cl_entry cl_upconv3d_plain = {.name = "plain", .refuses = cl_conv_refuses, .prepare = cl_conv_plain};
const cl_entry cl_upconv3d_dx_plain = {.name = "plain", .refuses = cl_conv_refuses, .prepare = cl_conv_plain};
const cl_entry cl_upconv3d_dw_plain = {
    .name = "plain", .refuses = cl_conv_refuses, .work = cl_conv_plain_dw_work, .prepare = cl_conv_plain_dw};
