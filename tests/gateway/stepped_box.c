/* A box of our own, for a process that is started with this preloaded: what it shows is read from a file that a test
   writes (TEST_BOX). Six numbers of 64 bits, each written at once: by how much the wall clock is ahead of the real one
   (ns), the same of the clock since boot, whether the kernel says that a time server keeps the clock, the boot's number,
   and whether the file system below TEST_DISK has become read-only under those who have files open there, as Linux makes
   it when a disk fails (a real remount is refused while a file is open for writing); and for how long (ns) the first write
   after each time that something was put on disk is held up, so that what a kill between two transactions leaves is seen. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

enum { WALL, BOOT, KEPT, NUMBER, READ_ONLY, PAUSE };
static volatile int64_t *box;
static const char *disk;

__attribute__((constructor)) static void begin(void) {
    const char *name = getenv("TEST_BOX");
    int file = name ? syscall(SYS_openat, AT_FDCWD, name, O_RDONLY | O_CLOEXEC) : -1;
    void *found = file < 0 ? MAP_FAILED : mmap(NULL, 4096, PROT_READ, MAP_SHARED, file, 0);
    if (file >= 0) close(file);
    box = found == MAP_FAILED ? NULL : found;
    disk = getenv("TEST_DISK");
}

int clock_gettime(clockid_t which, struct timespec *told) {
    int done = syscall(SYS_clock_gettime, which, told);
    if (done == 0 && box && (which == CLOCK_REALTIME || which == CLOCK_BOOTTIME)) {
        int64_t ns = told->tv_sec * 1000000000LL + told->tv_nsec + box[which == CLOCK_REALTIME ? WALL : BOOT];
        told->tv_sec = ns / 1000000000LL;
        told->tv_nsec = ns % 1000000000LL;
    }
    return done;
}

time_t time(time_t *told) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (told) *told = now.tv_sec;
    return now.tv_sec;
}

int gettimeofday(struct timeval *restrict told, void *restrict zone) {
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    told->tv_sec = now.tv_sec;
    told->tv_usec = now.tv_nsec / 1000;
    return 0;
}

int adjtimex(struct timex *told) {
    memset(told, 0, sizeof *told);
    told->status = box && box[KEPT] ? STA_PLL : STA_UNSYNC;
    return box && box[KEPT] ? TIME_OK : TIME_ERROR;
}

static int boot_file(void) {
    char text[64];
    int file = memfd_create("boot_id", MFD_CLOEXEC);
    int length = snprintf(text, sizeof text, "%032llx\n", (unsigned long long)box[NUMBER]);
    if (write(file, text, length) != length || lseek(file, 0, SEEK_SET)) abort();
    return file;
}

static int refused(const char *name) {
    if (!box || !disk || !box[READ_ONLY] || strncmp(name, disk, strlen(disk)) != 0) return 0;
    errno = EROFS;
    return 1;
}

static int refused_file(int file) {
    char link[64], name[4096];
    if (!box || !disk || !box[READ_ONLY]) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = syscall(SYS_readlink, link, name, sizeof name - 1);
    if (length <= 0) return 0;
    name[length] = 0;
    return refused(name);
}

static int open_any(const char *name, int flags, int mode) {
    if (box && strcmp(name, "/proc/sys/kernel/random/boot_id") == 0) return boot_file();
    if (flags & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC) && refused(name)) return -1;
    return syscall(SYS_openat, AT_FDCWD, name, flags, mode);
}

int open64(const char *name, int flags, ...) {
    va_list more;
    va_start(more, flags);
    int mode = va_arg(more, int);
    va_end(more);
    return open_any(name, flags, mode);
}

int open(const char *name, int flags, ...) {
    va_list more;
    va_start(more, flags);
    int mode = va_arg(more, int);
    va_end(more);
    return open_any(name, flags, mode);
}

static volatile int synced;

static int sync_by(long call, int file) {
    int done = syscall(call, file);
    synced = 1;
    return done;
}

int fsync(int file) {
    return sync_by(SYS_fsync, file);
}

int fdatasync(int file) {
    return sync_by(SYS_fdatasync, file);
}

static void pause_after_sync(void) {
    int64_t ns = box && synced ? box[PAUSE] : 0;
    synced = 0;
    if (ns) nanosleep(&(struct timespec){ns / 1000000000LL, ns % 1000000000LL}, NULL);
}

ssize_t pwrite64(int file, const void *data, size_t size, off64_t at) {
    pause_after_sync();
    return refused_file(file) ? -1 : syscall(SYS_pwrite64, file, data, size, at);
}

ssize_t write(int file, const void *data, size_t size) {
    return refused_file(file) ? -1 : syscall(SYS_write, file, data, size);
}

int ftruncate64(int file, off64_t size) {
    return refused_file(file) ? -1 : syscall(SYS_ftruncate, file, size);
}

int unlink(const char *name) {
    return refused(name) ? -1 : syscall(SYS_unlink, name);
}

int access(const char *name, int mode) {
    return mode & W_OK && refused(name) ? -1 : syscall(SYS_access, name, mode);
}
