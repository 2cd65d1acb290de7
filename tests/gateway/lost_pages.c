/* A disk that forgets what was not synced: a process started with this preloaded keeps, beside every file below LOST_BOX,
   what a disk surely holds of it (in LOST_DISK), and ends by SIGKILL before its LOST_AT-th sync, as when power goes.

     LOST_DISK/data/INODE   the file as it was when it was synced last
     LOST_DISK/name/PATH    the number of the inode that has this name on the disk (slashes are written as |)
     LOST_DISK/link/INODE   a hard link, so that no number is used again and what was unlinked can come back
     LOST_DISK/count        how many syncs there were

   Syncing a file keeps its content and its name, as ext4 does; syncing a folder keeps which names are in it. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LONG 4096
static char box[LONG], disk[LONG];
static size_t box_length;

__attribute__((constructor)) static void begin(void) {
    const char *given = getenv("LOST_BOX"), *beside = getenv("LOST_DISK");
    if (!given || !beside) return;
    snprintf(box, sizeof box, "%s/", given);
    snprintf(disk, sizeof disk, "%s", beside);
    box_length = strlen(box);
}

static void must(int holds, const char *what) {
    if (holds) return;
    perror(what);
    abort(); /* a test must not pass because its disk could not be kept */
}

static char *at(char *path, const char *format, ...) {
    va_list given;
    int used = snprintf(path, LONG, "%s/", disk);
    va_start(given, format);
    must(used + vsnprintf(path + used, LONG - used, format, given) < LONG, "a path is too long");
    va_end(given);
    return path;
}

static void put(const char *path, const char *text) {
    char fresh[LONG];
    snprintf(fresh, sizeof fresh, "%s.tmp", path);
    FILE *file = fopen(fresh, "w");
    must(file && fputs(text, file) >= 0 && fclose(file) == 0 && rename(fresh, path) == 0, path);
}

static void keep_link(const char *path, ino_t inode) {
    char kept[LONG];
    if (access(at(kept, "link/%lu", (unsigned long)inode), F_OK)) must(link(path, kept) == 0, path);
}

static void keep_name(const char *path, ino_t inode) {
    char name[LONG], number[32];
    at(name, "name/%s", path + box_length);
    for (char *c = name + strlen(disk) + 6; *c; c++)
        if (*c == '/') *c = '|';
    snprintf(number, sizeof number, "%lu", (unsigned long)inode);
    put(name, number);
}

static void keep_data(const char *path, ino_t inode) {
    char kept[LONG], fresh[LONG], piece[65536];
    ssize_t some;
    int from = open(path, O_RDONLY | O_CLOEXEC);
    at(fresh, "data/%lu.tmp", (unsigned long)inode);
    int to = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    must(from >= 0 && to >= 0, path);
    while ((some = read(from, piece, sizeof piece)) > 0) must(write(to, piece, some) == some, fresh);
    must(some == 0 && close(from) == 0 && close(to) == 0, path);
    must(rename(fresh, at(kept, "data/%lu", (unsigned long)inode)) == 0, fresh);
}

/* Names below a folder whose content is on the disk are, too. Of the folder that was synced itself, all are. */
static void keep_names(const char *folder, int synced) {
    char path[LONG], kept[LONG];
    DIR *open_folder = opendir(folder);
    must(open_folder != NULL, folder);
    for (struct dirent *entry; (entry = readdir(open_folder));) {
        struct stat found;
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (lstat(path, &found)) continue;
        if (S_ISDIR(found.st_mode)) keep_names(path, 0);
        if (!S_ISREG(found.st_mode)) continue;
        if (!synced && access(at(kept, "data/%lu", (unsigned long)found.st_ino), F_OK)) continue;
        keep_link(path, found.st_ino);
        keep_name(path, found.st_ino);
    }
    closedir(open_folder);
}

/* What is not in the folder any more is not on the disk either; nor what was below a folder that is not. */
static void drop_names(const char *folder) {
    char names[LONG], path[LONG], prefix[LONG], gone[LONG];
    size_t length;
    snprintf(prefix, sizeof prefix, "%s/", folder);
    for (char *c = prefix + box_length; *c; c++)
        if (*c == '/') *c = '|';
    length = strlen(prefix) - box_length;
    DIR *known = opendir(at(names, "name"));
    must(known != NULL, names);
    for (struct dirent *entry; (entry = readdir(known));) {
        if (entry->d_name[0] == '.' || strncmp(entry->d_name, prefix + box_length, length)) continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name + length);
        char *below = strchr(path + strlen(folder) + 1, '|');
        if (below) *below = 0;
        if (access(path, F_OK)) must(unlink(at(gone, "name/%s", entry->d_name)) == 0, path);
    }
    closedir(known);
}

static void synced(int descriptor) {
    char link[64], path[LONG];
    struct stat found;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0 || fstat(descriptor, &found)) return;
    path[length] = 0;
    if (S_ISDIR(found.st_mode) && (size_t)length + 1 >= box_length && !strncmp(path, box, box_length - 1)) {
        drop_names(path);
        keep_names(path, 1);
    } else if (S_ISREG(found.st_mode) && !strncmp(path, box, box_length) && found.st_nlink) {
        if (access(path, F_OK)) return; /* it has no name any more */
        keep_data(path, found.st_ino);
        keep_link(path, found.st_ino);
        keep_name(path, found.st_ino);
    }
}

static int of_the_box(int descriptor) {
    char link[64], path[LONG];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0 || !box_length) return 0;
    path[length] = 0;
    return !strncmp(path, box, box_length - 1);
}

static void count(void) {
    static long syncs;
    char number[32], path[LONG];
    const char *last = getenv("LOST_AT");
    if (last && ++syncs == atol(last)) raise(SIGKILL);
    snprintf(number, sizeof number, "%ld", syncs);
    put(at(path, "count"), number);
}

static int sync_by(const char *name, int descriptor) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    int ours = of_the_box(descriptor);
    if (ours) count();
    int done = real(descriptor);
    if (ours && done == 0) synced(descriptor);
    return done;
}

int fsync(int descriptor) { return sync_by("fsync", descriptor); }
int fdatasync(int descriptor) { return sync_by("fdatasync", descriptor); }
