/* What the operating system says about memory: the peak use of this process, and the memory of the machine.
 *
 * In a control group (containers, batch systems) the process may use only as much memory as the smallest
 * limit on the path from its group to the root group. Sources: proc(5), cgroups(7); Linux
 * Documentation/admin-guide/cgroup-v2.rst (memory.max) and cgroup-v1/memory.rst (memory.limit_in_bytes). */
#include "engine/base/mem.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* VmHWM is preferred because it covers only this program; ru_maxrss of getrusage also covers the program that
 * the process ran before exec. */
uint64_t u3d_mem_peak_resident(void)
{
    uint64_t kib = 0;
    char line[256];
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f)) {
        if (sscanf(line, "VmHWM: %" SCNu64, &kib) == 1) break;
    }
    if (f) fclose(f);
    if (kib == 0) {
        struct rusage usage;
        if (getrusage(RUSAGE_SELF, &usage) == 0) kib = (uint64_t)usage.ru_maxrss;
    }
    return kib * 1024;
}

/* Reads one limit file. UINT64_MAX means no limit: the file is missing or says "max". */
static uint64_t mem_read_limit(const char *path)
{
    uint64_t bytes;
    FILE *f = fopen(path, "r");
    if (!f) return UINT64_MAX;
    bool limited = fscanf(f, "%" SCNu64, &bytes) == 1;
    fclose(f);
    return limited ? bytes : UINT64_MAX;
}

/* The smallest limit of the groups from `path` up to the root of the hierarchy that is mounted at `mount`.
 * The loop shortens `path` by one component per step. */
static uint64_t mem_group_limit(const char *mount, char *path, const char *leaf)
{
    uint64_t least = UINT64_MAX;
    char file[2048];
    for (;;) {
        snprintf(file, sizeof file, "%s%s/%s", mount, path, leaf);
        uint64_t limit = mem_read_limit(file);
        if (limit < least) least = limit;
        char *slash = strrchr(path, '/');
        if (!slash) return least;
        *slash = '\0';
    }
}

/* The smallest limit of this process, or UINT64_MAX. /proc/self/cgroup has the line "0::/group" for cgroup
 * version 2, and lines such as "5:memory:/group" for version 1. */
static uint64_t mem_cgroup_limit(void)
{
    uint64_t least = UINT64_MAX;
    char line[1024];
    FILE *f = fopen("/proc/self/cgroup", "r");
    while (f && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = '\0';
        char *group = strchr(line, ':');
        if (!group) continue;
        uint64_t limit = UINT64_MAX;
        if (strncmp(group, "::", 2) == 0) {
            limit = mem_group_limit("/sys/fs/cgroup", group + 2, "memory.max");
        } else if (strncmp(group, ":memory:", 8) == 0) {
            limit = mem_group_limit("/sys/fs/cgroup/memory", group + 8, "memory.limit_in_bytes");
        }
        if (limit < least) least = limit;
    }
    if (f) fclose(f);
    return least;
}

uint64_t u3d_mem_machine(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    uint64_t installed = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : 0;
    uint64_t allowed = mem_cgroup_limit();
    if (installed == 0) return allowed == UINT64_MAX ? 0 : allowed;
    return allowed < installed ? allowed : installed;
}
