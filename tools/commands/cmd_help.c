/* u3d help [COMMAND], u3d settings, u3d completion: the tables of this program, printed (tools/cli). */
#include "tools/cli/completion.h"
#include "tools/cli/help.h"
#include "tools/commands/commands.h"

u3d_status cmd_help(const args *a)
{
    const command *c = NULL;
    if (a->n_rest) U3D_TRY(command_find(a->rest[0], &c));
    return help_print(c, "", a->json);
}

u3d_status cmd_settings(const args *a)
{
    return help_settings(a->rest, a->n_rest, a->json);
}

u3d_status cmd_completion(const args *a)
{
    if (!a->n_rest)
        return u3d_fail(U3D_E_ARG, "u3d completion: expected bash or zsh; see `u3d completion --help`");
    return completion_print(a->rest[0]);
}
