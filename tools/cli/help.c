/* Help for the program and its commands, from the tables of commands and options. */
#include "tools/cli/help.h"

#include <stdio.h>
#include <string.h>

enum { WIDTH = 80, COLUMN = 26, LEFT_CAP = 96 };

/* Prints text word by word from column `at` on; further lines start at column `indent`. */
static void print_wrapped(int at, int indent, const char *text)
{
    bool first = true;
    while (*text) {
        const int length = (int)strcspn(text, " ");
        if (!first && at + 1 + length > WIDTH) {
            printf("\n%*s", indent, "");
            at = indent;
            first = true;
        }
        at += printf("%s%.*s", first ? "" : " ", length, text);
        first = false;
        text += length;
        text += strspn(text, " ");
    }
    printf("\n");
}

void help_entry(const char *left, const char *text)
{
    int at = printf("  %s", left);
    if (at + 1 >= COLUMN) {
        printf("\n");
        at = 0;
    }
    printf("%*s", COLUMN - at, "");
    print_wrapped(COLUMN, COLUMN, text);
}

/* ---- options ---- */

static void print_option(const option *o)
{
    char left[LEFT_CAP];
    char letter[8] = "";
    const bool optional = o->kind == OPTION_MAYBE;
    if (o->letter) (void)snprintf(letter, sizeof letter, "-%c, ", o->letter);
    (void)snprintf(left, sizeof left, "%s--%s%s%s%s%s", letter, o->name, optional ? "[" : "",
                   o->argument ? "=" : "", o->argument ? o->argument : "", optional ? "]" : "");
    help_entry(left, o->help);
}

static void print_global_options(void)
{
    const option *o;
    printf("\noptions of every command:\n");
    for (int i = 0; (o = option_at(NULL, i)) != NULL; i++) print_option(o);
}

/* The names of the options that are not described, in one paragraph. */
static void print_rare_names(const command *c)
{
    const option *o;
    char names[1000] = "";
    size_t used = 0;
    for (int i = 0; (o = option_at(c, i)) != NULL && used < sizeof names; i++)
        if (o->use == RARE)
            used += (size_t)snprintf(names + used, sizeof names - used, "%s--%s", used ? " " : "", o->name);
    printf("\nmore options, described by `u3d %s --help=all`:\n  ", c->name);
    print_wrapped(2, 2, names);
}

/* ---- programs and commands ---- */

static void print_program(void)
{
    printf("usage: u3d COMMAND [options]\n\n"
           "3D U-Net segmentation of volumes, trained from a few annotated slices.\n");
    for (const command *c = commands; c->name; c++) {
        if (c->group) printf("\n%s:\n", c->group);
        help_entry(c->name, c->summary);
    }
    print_global_options();
    printf("\n`u3d COMMAND --help` explains a command, `u3d settings` lists what --set accepts.\n");
}

static void print_usage(const command *c)
{
    const int at = printf("usage: u3d %s ", c->name);
    print_wrapped(at, at, c->usage);
    printf("\n%s\n", c->summary);
}

static void print_command(const command *c)
{
    print_usage(c);
    if (c->options) printf("\noptions:\n");
    for (const option *o = c->options; o && o->name; o++)
        if (o->use == OFTEN) print_option(o);
    print_rare_names(c);
    printf("\nexamples:\n");
    for (size_t i = 0; i < sizeof c->examples / sizeof c->examples[0]; i++)
        if (c->examples[i]) printf("  %s\n", c->examples[i]);
    if (option_find(c, "net", strlen("net")))
        printf("\n`u3d settings` lists what --set and files for --net accept.\n");
    printf("%sMore: man u3d-%s\n", option_find(c, "net", strlen("net")) ? "" : "\n", c->name);
}

static void print_command_options(const command *c)
{
    if (c->options) printf("\noptions:\n");
    for (const option *o = c->options; o && o->name; o++) print_option(o);
}

static void print_all(const command *c)
{
    if (c) {
        print_usage(c);
        print_command_options(c);
        print_global_options();
        return;
    }
    print_program();
    for (c = commands; c->name; c++) {
        printf("\n");
        print_usage(c);
        print_command_options(c);
    }
}

u3d_status help_print(const command *c, const char *topic, bool json)
{
    if (strcmp(topic, "settings") == 0) return help_settings(NULL, 0, json);
    if (strcmp(topic, "all") == 0)
        print_all(c);
    else if (*topic)
        return u3d_fail(U3D_E_ARG, "--help: found '%s', expected settings or all", topic);
    else if (c)
        print_command(c);
    else
        print_program();
    return U3D_OK;
}
