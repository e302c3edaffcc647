/* Commands and their options as tables.
 *
 * One row of a table says everything about an option: its name, its place in `args`, what its value looks
 * like and one line of help. Parsing (parse.c), --help (help.c), shell completion (completion.c) and the test
 * of the manual pages read these rows and nothing else. The options of every command are in command.c. The
 * commands, each with the table of its own options, are in tools/commands/commands.c: this room knows none
 * of them. */
#ifndef U3D_TOOLS_COMMAND_H
#define U3D_TOOLS_COMMAND_H

#include "tools/cli/args.h"

/* With the type of the option's member of `args`. */
typedef enum option_kind {
    OPTION_FLAG, /* int: 1 if given                                                                  */
    OPTION_TEXT, /* char *: the value as written, from --name=VALUE or --name VALUE; NULL if absent  */
    OPTION_LIST, /* char **: every value given, then NULL                                            */
    OPTION_MAYBE /* char *: like OPTION_TEXT, but --name alone gives "". A value that follows as a word of
                    its own is accepted only for a command's own option, if the command has no `rest`  */
} option_kind;

/* `u3d COMMAND --help` describes the options that are used OFTEN and names the RARE ones, which only
 * `--help=all` describes. */
typedef enum option_use { OFTEN, RARE } option_use;

typedef struct option {
    const char *name; /* without the dashes                                       */
    char letter;      /* short form, 0: none                                      */
    option_kind kind;
    size_t offset;    /* of its member of `args`                                  */
    option_use use;
    /* What the value looks like, NULL for flags: alternatives joined by |. A lower-case word stands for
     * itself ("auto|cpu|opencl"); completion.c knows what words in capitals stand for. */
    const char *argument;
    const char *help;
} option;

/* The first members of a row. TEXT_AT and FLAG_AT are for names that differ from that of the member. */
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

/* Finds a command by name. U3D_E_ARG: there is none; the message names the nearest command. */
u3d_status command_find(const char *name, const command **out);

/* Option i of a command: its own options come first, then those of every command. With c NULL there are only
 * the latter. NULL if there are no more than i. */
const option *option_at(const command *c, int i);
/* Finds an option by the first `length` letters of `name`; NULL if the command does not accept it. */
const option *option_find(const command *c, const char *name, size_t length);
/* Name of the option of the command that is spelled most like `name`. */
const char *option_nearest(const command *c, const char *name);

#endif
