// An AudioWorklet: hands on a tenth of a second of one microphone at a time, as floats.
class Microphone extends AudioWorkletProcessor {
  constructor() {
    super();
    this.part = new Float32Array(Math.round(sampleRate / 10));
    this.at = 0;
  }

  process([[heard]]) {
    for (const sample of heard ?? []) {
      this.part[this.at++] = sample;
      if (this.at < this.part.length) continue;
      this.port.postMessage(this.part, [this.part.buffer]);
      this.part = new Float32Array(Math.round(sampleRate / 10));
      this.at = 0;
    }
    return true;
  }
}
registerProcessor("microphone", Microphone);
