/* Commands and their options as tables.
 *
 * One row of a table says everything about an option: its name, its place in `args`, what its value looks like and
 * one line of help. Parsing (args.c), --help (help.c), shell completion (completion.c) and the tests of the manual
 * pages read these rows and nothing else. The room tools/cli has the options of every command; the commands
 * themselves, each with the table of its own options, are in tools/commands/commands.c. */
#ifndef U3D_TOOLS_COMMAND_H
#define U3D_TOOLS_COMMAND_H

#include "tools/cli/args.h"

typedef enum option_kind { /* with the type of its member of `args` */
    OPTION_FLAG,  /* int: 1 if given                                                                              */
    OPTION_TEXT,  /* char *: the value as written, from --name=VALUE or --name VALUE; NULL if absent              */
    OPTION_LIST,  /* char **: every value given, then NULL                                                        */
    OPTION_MAYBE  /* char *: as OPTION_TEXT, but the value may be missing ("") and is only taken from --name=VALUE */
} option_kind;

/* `u3d COMMAND --help` describes options that are used OFTEN and only names RARE ones, which `--help=all` describes. */
typedef enum option_use { OFTEN, RARE } option_use;

typedef struct option {
    const char *name; /* without the dashes                                       */
    char letter;      /* short form, 0: none                                      */
    option_kind kind;
    size_t offset;    /* of its member of `args`                                  */
    option_use use;
    /* What the value looks like, NULL for flags: alternatives joined by |. A lower-case word stands for itself
     * ("auto|cpu|opencl"), FILE and DIR for what they say; completion.c knows what other words stand for. */
    const char *argument;
    const char *help;
} option;

/* The first members of a row: the name is that of the member of `args`, or differs from it (an option with a hyphen). */
#define TEXT(name) #name, 0, OPTION_TEXT, offsetof(args, name)
#define FLAG(name) #name, 0, OPTION_FLAG, offsetof(args, name)
#define TEXT_AT(text, member) text, 0, OPTION_TEXT, offsetof(args, member)
#define FLAG_AT(text, member) text, 0, OPTION_FLAG, offsetof(args, member)
#define OPTIONS_END {NULL, 0, OPTION_FLAG, 0, RARE, NULL, NULL}

typedef struct command {
    const char *group; /* heading of this row and those after it in `u3d --help`; NULL: as the row before */
    const char *name, *summary;
    const char *usage; /* what follows `u3d NAME`                                     */
    u3d_status (*run)(const args *a);
    const option *options; /* ends with a NULL name; NULL: only those of every command */
    /* Words that may follow the options, as in option.argument; "..." at the end: any number. NULL: none. */
    const char *rest;
    const char *examples[2];
} command;

extern const command commands[]; /* ends with a NULL name */

/* U3D_E_ARG names the nearest command. */
u3d_status command_find(const char *name, const command **out);

/* Option i of a command: its own come first, then those of every command; NULL if there are no more than i. With
 * c NULL only those of every command. */
const option *option_at(const command *c, int i);
/* NULL if the command does not accept an option of that name; `length` letters of `name` count. */
const option *option_find(const command *c, const char *name, size_t length);
/* Name of the option of the command that is spelled most like `name`. */
const char *option_nearest(const command *c, const char *name);

#endif
