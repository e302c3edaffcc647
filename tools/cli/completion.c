/* Scripts that complete u3d's words in bash and zsh.
 *
 * This file writes the tables as functions and variables of the shell; completion.bash and completion.zsh,
 * printed after them, look at the line that is being typed and choose. What a value may be follows from
 * `argument` in the row of the option: expected_text translates "paper|auto|FILE" to "paper auto FILE", where
 * the words in capitals are
 *
 *   FILE      the name of a file or a folder     COMMAND      a command of u3d
 *   DIR       the name of a folder               KEY, GROUP   a key or a group of the settings table
 *   SETTING   a setting, KEY=VALUE               NONE         what cannot be completed, such as a number */
#include "tools/cli/completion.h"

#include <stdio.h>
#include <string.h>

#include "net/config/config.h"
#include "tools/cli/command.h"

enum { EXPECTED_CAP = 200 };

/* What the words of `argument` that do not stand for themselves stand for; all others are NONE. */
static const struct {
    const char *argument, *expected;
} KINDS[] = {{"FILE", "FILE"},       {"PNG", "FILE"},   {"PAGE.html", "FILE"}, {"FILE:X,Y,BY", "FILE"},
             {"MODEL", "FILE"},      {"LABEL", "FILE"}, {"DIR", "DIR"},        {"RUN", "DIR"},
             {"COMMAND", "COMMAND"}, {"KEY", "KEY"},    {"GROUP", "GROUP"},    {"KEY=VALUE", "SETTING"}};

static const char *expected_word(const char *word, size_t length)
{
    for (size_t i = 0; i < sizeof KINDS / sizeof KINDS[0]; i++)
        if (strlen(KINDS[i].argument) == length && memcmp(KINDS[i].argument, word, length) == 0)
            return KINDS[i].expected;
    const bool itself =
        word[0] >= 'a' && word[0] <= 'z' && strspn(word, "abcdefghijklmnopqrstuvwxyz0123456789-") >= length;
    return itself ? NULL : "";
}

/* "paper|auto|FILE" -> "paper auto FILE"; "MODEL..." -> "FILE"; "N" -> "NONE". Returns buf. */
static const char *expected_text(const char *argument, char buf[EXPECTED_CAP])
{
    size_t used = 0;
    buf[0] = '\0';
    for (const char *at = argument; *at && used < EXPECTED_CAP; at += *at == '|') {
        const size_t whole = strcspn(at, "|");
        const size_t length = whole > 3 && memcmp(at + whole - 3, "...", 3) == 0 ? whole - 3 : whole;
        const char *kind = expected_word(at, length);
        const bool covered = kind && strcmp(kind, "DIR") == 0 && strstr(argument, "FILE");
        if (!kind || (*kind && !covered))
            used += (size_t)snprintf(buf + used, EXPECTED_CAP - used, "%s%.*s", used ? " " : "",
                                     kind ? (int)strlen(kind) : (int)length, kind ? kind : at);
        at += whole;
    }
    if (!used) (void)snprintf(buf, EXPECTED_CAP, "NONE");
    return buf;
}

/* Prints text so that a shell reads it unchanged between single quotes. */
static void print_quoted(const char *text)
{
    for (; *text; text++)
        if (*text == '\'')
            printf("'\\''");
        else
            putchar(*text);
}

static bool is_key(const char *name)
{
    u3d_setting s;
    for (int i = 0; u3d_config_setting(i, &s); i++)
        if (strcmp(s.key, name) == 0) return true;
    return false;
}

static void print_setting_names(void)
{
    u3d_setting s;
    const char *group = "";
    printf("_u3d_keys='");
    for (int i = 0; u3d_config_setting(i, &s); i++) printf("%s%s", i ? " " : "", s.key);
    printf("'\n# Without those that are also keys.\n_u3d_groups='");
    for (int i = 0; u3d_config_setting(i, &s); i++) {
        if (strcmp(group, s.group) != 0 && !is_key(s.group)) printf("%s%s", i ? " " : "", s.group);
        group = s.group;
    }
    printf("'\n\n");
}

static void print_setting_words(void)
{
    u3d_setting s;
    printf("# The words that setting $1 may be.\n_u3d_setting_words() {\n  case $1 in\n");
    for (int i = 0; u3d_config_setting(i, &s); i++) {
        if (!s.words) continue;
        printf("    %s) echo '", s.key);
        for (int w = 0; s.words[w]; w++) printf("%s%s", w ? " " : "", s.words[w]);
        printf("' ;;\n");
    }
    printf("    *) echo NONE ;;\n  esac\n}\n\n");
}

/* ---- bash ---- */

static void bash_print_options(const option *o)
{
    for (int i = 0; o && o[i].name; i++) printf("%s--%s", i ? " " : "", o[i].name);
}

/* Prints what is expected after an option. The pattern is the text before the value: `train:--net`, or
 * `*:--help=` if the value must be in the same word as the option. */
static void bash_print_expected(const char *command_name, const option *o)
{
    char buf[EXPECTED_CAP];
    if (o->argument)
        printf("    %s:--%s%s) echo '%s' ;;\n", command_name, o->name, o->kind == OPTION_MAYBE ? "=" : "",
               expected_text(o->argument, buf));
}

static void bash_print(void)
{
    const option *o;
    char buf[EXPECTED_CAP];
    printf("_u3d_commands='");
    for (const command *c = commands; c->name; c++) printf("%s%s", c == commands ? "" : " ", c->name);
    printf("'\n_u3d_every='");
    bash_print_options(option_at(NULL, 0));
    printf("'\n");
    print_setting_names();
    print_setting_words();
    printf("# Only the options of command $1; those of every command are in _u3d_every.\n"
           "_u3d_own() {\n  case $1 in\n");
    for (const command *c = commands; c->name; c++) {
        printf("    %s) echo '", c->name);
        bash_print_options(c->options);
        printf("' ;;\n");
    }
    printf("  esac\n}\n\n"
           "# What is expected after $2, an option of command $1, or among the words after its options.\n"
           "_u3d_expected() {\n  case $1:$2 in\n");
    for (int i = 0; (o = option_at(NULL, i)) != NULL; i++) bash_print_expected("*", o);
    for (const command *c = commands; c->name; c++) {
        for (o = c->options; o && o->name; o++) bash_print_expected(c->name, o);
        if (c->rest) printf("    %s:words) echo '%s' ;;\n", c->name, expected_text(c->rest, buf));
    }
    printf("  esac\n}\n\n");
}

/* ---- zsh ---- */

/* Prints an option as zsh's function _arguments expects it: '--net=[help]:net: _u3d_value paper auto FILE',
 * and '-q[help]' for a short form. */
static void zsh_print_option(const option *o)
{
    char buf[EXPECTED_CAP];
    const bool maybe = o->kind == OPTION_MAYBE;
    const char *equals = maybe ? "=-" : o->argument ? "=" : "";
    printf("  '%s--%s%s[", o->kind == OPTION_LIST ? "*" : "", o->name, equals);
    print_quoted(o->help);
    printf("]");
    if (o->argument)
        printf("%s%s: _u3d_value %s", maybe ? "::" : ":", o->name, expected_text(o->argument, buf));
    printf("'\n");
    if (!o->letter) return;
    printf("  '-%c[", o->letter);
    print_quoted(o->help);
    printf("]'\n");
}

static void zsh_print(void)
{
    const option *o;
    char buf[EXPECTED_CAP];
    print_setting_names();
    print_setting_words();
    printf("_u3d_commands=(\n");
    for (const command *c = commands; c->name; c++) {
        printf("  '%s:", c->name);
        print_quoted(c->summary);
        printf("'\n");
    }
    printf(")\n_u3d_every=(\n");
    for (int i = 0; (o = option_at(NULL, i)) != NULL; i++) zsh_print_option(o);
    printf(")\n\n# Sets own: the options of command $1 and the words after them.\n"
           "_u3d_own() {\n  case $1 in\n");
    for (const command *c = commands; c->name; c++) {
        printf("    %s) own=(\n", c->name);
        for (o = c->options; o && o->name; o++) zsh_print_option(o);
        if (c->rest)
            printf("  '%s:words: _u3d_value %s'\n", strstr(c->rest, "...") ? "*" : "1",
                   expected_text(c->rest, buf));
        printf("    ) ;;\n");
    }
    printf("  esac\n}\n\n");
}

/* ---- both ---- */

static void print_source(const char *name)
{
    for (const completion_source *s = completion_sources; s->name; s++)
        if (strcmp(s->name, name) == 0) printf("%s", s->text);
}

u3d_status completion_print(const char *shell)
{
    const bool bash = strcmp(shell, "bash") == 0;
    if (!bash && strcmp(shell, "zsh") != 0)
        return u3d_fail(U3D_E_ARG, "u3d completion: found '%s', expected bash or zsh", shell);
    printf("%s# Completes u3d's command line in %s; written by `u3d completion %s` from its tables.\n",
           bash ? "" : "#compdef u3d\n", shell, shell);
    if (bash)
        bash_print();
    else
        zsh_print();
    print_source(bash ? "completion.bash" : "completion.zsh");
    return U3D_OK;
}
