import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

/** A file system of a simulated machine, in a temporary folder. */
export class SystemFolder {
  readonly root = mkdtempSync(join(tmpdir(), "air-system-"));

  write(path: string, content: string | number): void {
    const file = join(this.root, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, `${content}\n`);
  }

  remove(path: string): void {
    rmSync(join(this.root, path), { recursive: true, force: true });
  }

  /** A thermal zone; trip points by type, in degrees. */
  zone(
    index: number,
    type: string,
    celsius: number | string,
    trips: readonly (readonly [string, number])[] = [],
  ): void {
    const folder = `sys/class/thermal/thermal_zone${index}`;
    this.write(`${folder}/type`, type);
    this.write(`${folder}/temp`, typeof celsius === "number" ? Math.round(celsius * 1000) : celsius);
    for (const [point, [tripType, tripCelsius]] of trips.entries()) {
      this.write(`${folder}/trip_point_${point}_type`, tripType);
      this.write(`${folder}/trip_point_${point}_temp`, tripCelsius * 1000);
    }
  }

  /** The clock rates of a processor, in MHz. */
  rates(processor: number, current: number, best: number, allowed = best): void {
    const folder = `sys/devices/system/cpu/cpu${processor}/cpufreq`;
    this.write(`${folder}/scaling_cur_freq`, current * 1000);
    this.write(`${folder}/cpuinfo_max_freq`, best * 1000);
    this.write(`${folder}/scaling_max_freq`, allowed * 1000);
  }

  throttled(processor: number, kind: "core" | "package", count: number | string): void {
    this.write(`sys/devices/system/cpu/cpu${processor}/thermal_throttle/${kind}_throttle_count`, count);
  }

  /** /proc/meminfo, in MiB. */
  memory(total: number, available: number): void {
    this.write("proc/meminfo", `MemTotal: ${total * 1024} kB\nMemAvailable: ${available * 1024} kB`);
  }

  /** A rail of an INA monitor, in volts and amperes. */
  rail(index: number, label: string, volts: number, amperes: number): void {
    const folder = "sys/class/hwmon/hwmon0";
    this.write(`${folder}/name`, "ina3221");
    this.write(`${folder}/in${index}_label`, label);
    this.write(`${folder}/in${index}_input`, volts * 1000);
    this.write(`${folder}/curr${index}_input`, amperes * 1000);
  }

  close(): void {
    rmSync(this.root, { recursive: true, force: true });
  }
}
