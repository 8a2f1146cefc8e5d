/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* AMX: tile configuration and tile data, and the permission that a process must ask for first. */
#include <asm/prctl.h>
#include <cpuid.h>

#include "subject.h"

#define REQ_XCOMP_PERM 0x1023
#define GET_XCOMP_PERM 0x1022
#define XTILEDATA 18

struct tile_config {
	uint8_t palette, start_row, reserved[14];
	uint16_t colsb[16];
	uint8_t rows[16];
};

int main(int argc, char **argv)
{
	_Alignas(64) struct tile_config cfg = { .palette = 1 }, got;
	static _Alignas(64) uint8_t data[8][1024], back[1024];
	unsigned a, b, c, d;
	unsigned long perm = 0;

	subject_init(argc, argv);
	if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(d & 1u << 24))
		subject_skip("the processor has no AMX tiles");
	if (syscall(SYS_arch_prctl, REQ_XCOMP_PERM, XTILEDATA) < 0)
		subject_skip("the kernel grants no AMX tiles");
	for (int i = 0; i < 8; i++) {
		cfg.colsb[i] = 64;
		cfg.rows[i] = 16;
		pattern_fill(data[i], sizeof(data[i]), (uint64_t)i);
	}
	__asm__ volatile("ldtilecfg %0" ::"m"(cfg));
#define LOAD(n) __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #n ::"r"(data[n]), "r"(64L) : "memory")
	LOAD(0);
	LOAD(1);
	LOAD(2);
	LOAD(3);
	LOAD(4);
	LOAD(5);
	LOAD(6);
	LOAD(7);
	subject_wait();
	__asm__ volatile("sttilecfg %0" : "=m"(got));
	CHECK(!memcmp(&cfg, &got, sizeof(cfg)), "the tile configuration changed");
#define CHECK_TILE(n)                                                                                                                                          \
	do {                                                                                                                                                   \
		__asm__ volatile("tilestored %%tmm" #n ", (%0,%1,1)" ::"r"(back), "r"(64L) : "memory");                                                        \
		pattern_check("tile " #n, back, sizeof(back), n);                                                                                              \
	} while (0)
	CHECK_TILE(0);
	CHECK_TILE(3);
	CHECK_TILE(7);
	CHECK_SYS(syscall(SYS_arch_prctl, GET_XCOMP_PERM, &perm));
	CHECK(perm & 1ul << XTILEDATA, "the permission is lost: %lx", perm);
	__asm__ volatile("tilerelease");
	return subject_done();
}
